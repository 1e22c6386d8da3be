/* A miss that meets nobody: what drivers.run, `Table.enter` and `Table.finish` do then, in C.

   It is for plain calls of plain methods, with arguments and results whose comparison runs no code:
   only to find a key among others that have the same hash may be to run theirs. So from one look at
   the table to the next nothing else runs, as far as the comments say so, and that relies on the
   GIL. Whatever is unusual, such as a writer at work, somebody's load, an entry
   that is there already, a rule that matches on arguments, is left to the functions in Python,
   before anything was done about it. */

#include <math.h>

#include "speed.h"

/* As in stats.py: the first bucket is for what took less than 2 ** -20 s. */
enum { FIRST_BUCKET = -20, BUCKETS = 32 };

static bool
is_atom(PyObject *value)
{
    return PyLong_CheckExact(value) || PyUnicode_CheckExact(value) || value == Py_None
           || PyBool_Check(value) || PyBytes_CheckExact(value);
}

/* Whether the dictionaries and the fences of a table are such that this module knows what to do.
   Entries are hidden only where a fence stands. */
static bool
is_usual(const Miss *miss, PyObject *table)
{
    PyObject *fences = SLOT(table, miss->fences), *indexes = SLOT(table, miss->indexes);
    PyObject *flights = SLOT(table, miss->flights);
    return fences != NULL && PyList_CheckExact(fences) && PyList_GET_SIZE(fences) == 0
           && indexes != NULL && PyDict_CheckExact(indexes) && PyDict_GET_SIZE(indexes) == 0
           && flights != NULL && PyDict_CheckExact(flights)
           && SLOT(table, miss->mixed) == Py_False;
}

int
pc_count(PyObject *table, Py_ssize_t at)
{
    PyObject *number = SLOT(table, at);
    if (number == NULL || !PyLong_CheckExact(number)) {
        PyErr_SetString(PyExc_SystemError, "a count is no number");
        return -1;
    }
    long long value = PyLong_AsLongLong(number);
    PyObject *counted = value == -1 && PyErr_Occurred() ? NULL : PyLong_FromLongLong(value + 1);
    if (counted == NULL) {
        return -1;
    }
    SLOT(table, at) = counted;
    Py_DECREF(number);
    return 0;
}

/* Note in a load when it began, and how long it took; nobody reads the slots before. */
static int
note_times(const Miss *miss, PyObject *flight, double begun, double ended)
{
    PyObject *from = PyFloat_FromDouble(begun), *took = PyFloat_FromDouble(ended - begun);
    if (from == NULL || took == NULL) {
        Py_XDECREF(from);
        Py_XDECREF(took);
        return -1;
    }
    Py_XSETREF(SLOT(flight, miss->begun), from);
    Py_XSETREF(SLOT(flight, miss->took), took);
    return 0;
}

/* As `place` of stats.py: in which bucket of the histogram a duration is counted. */
static Py_ssize_t
place_of(double seconds)
{
    int exponent = 0;
    if (!(seconds > 0.0)) {
        return 0;
    }
    frexp(seconds, &exponent);
    Py_ssize_t place = (Py_ssize_t)exponent - FIRST_BUCKET;
    return place < 0 ? 0 : place < BUCKETS ? place : BUCKETS - 1;
}

/* Whether there are both a sum and a histogram that a load's time can be added to here. */
static bool
is_timed(const Miss *miss, PyObject *table)
{
    PyObject *sum = SLOT(table, miss->load_time), *times = SLOT(table, miss->load_times);
    return sum != NULL && PyFloat_CheckExact(sum) && times != NULL
           && (times == Py_None
               || (PyList_CheckExact(times) && PyList_GET_SIZE(times) == BUCKETS));
}

/* The histogram of a table, made if it has none; borrowed, or NULL and an error. */
static PyObject *
times_of(const Miss *miss, PyObject *table)
{
    PyObject *times = SLOT(table, miss->load_times);
    if (times == Py_None) {
        times = PyList_New(BUCKETS);
        for (Py_ssize_t i = 0; times != NULL && i < BUCKETS; i++) {
            PyList_SET_ITEM(times, i, PyLong_FromLong(0));
        }
        if (times != NULL) {
            Py_SETREF(SLOT(table, miss->load_times), times);
        }
    }
    return times;
}

/* Count a load and how long it took, where `is_timed`; 0, or -1 and an error. */
static int
count_load(const Miss *miss, PyObject *table, double took)
{
    PyObject *sum = SLOT(table, miss->load_time), *times = times_of(miss, table);
    if (times == NULL) {
        return -1;
    }
    Py_ssize_t at = place_of(took);
    PyObject *before = PyList_GET_ITEM(times, at);
    long long count = PyLong_AsLongLong(before);
    PyObject *counted = count == -1 && PyErr_Occurred() ? NULL : PyLong_FromLongLong(count + 1);
    PyObject *added = PyFloat_FromDouble(PyFloat_AS_DOUBLE(sum) + took);
    if (counted == NULL || added == NULL) {
        Py_XDECREF(counted);
        Py_XDECREF(added);
        return -1;
    }
    PyList_SET_ITEM(times, at, counted);
    Py_DECREF(before);
    SLOT(table, miss->load_time) = added;
    Py_DECREF(sum);
    return pc_count(table, miss->loads);
}

static int
call_slot(PyObject *object, Py_ssize_t at)
{
    PyObject *method = SLOT(object, at);
    PyObject *result = method == NULL ? NULL : PyObject_CallNoArgs(method);
    if (result == NULL) {
        if (!PyErr_Occurred()) {
            PyErr_SetString(PyExc_SystemError, "a table without a lock");
        }
        return -1;
    }
    Py_DECREF(result);
    return 0;
}

static void
raise_again(PyObject *error)
{
#if PY_VERSION_HEX >= 0x030C0000
    PyErr_SetRaisedException(Py_NewRef(error));
#else
    PyErr_Restore(
        Py_NewRef((PyObject *)Py_TYPE(error)), Py_NewRef(error), PyException_GetTraceback(error));
#endif
}

/* Return the exception that is set, and clear it. */
static PyObject *
taken_error(void)
{
#if PY_VERSION_HEX >= 0x030C0000
    return PyErr_GetRaisedException();
#else
    PyObject *type, *error, *traceback;
    PyErr_Fetch(&type, &error, &traceback);
    PyErr_NormalizeException(&type, &error, &traceback);
    if (traceback != NULL) {
        PyException_SetTraceback(error, traceback);
        Py_DECREF(traceback);
    }
    Py_DECREF(type);
    return error;
#endif
}

/* Whether the load is still the one that is found. */
static int
is_found(const Miss *miss, PyObject *table, PyObject *key, PyObject *flight)
{
    PyObject *flights = SLOT(table, miss->flights);
    if (flights == NULL || !PyDict_CheckExact(flights)) {
        return 0;
    }
    Py_INCREF(flights);
    PyObject *found = PyDict_GetItemWithError(flights, key);
    Py_DECREF(flights);
    if (found == NULL && PyErr_Occurred()) {
        return -1;
    }
    return found == flight && SLOT(table, miss->flights) == flights;
}

/* Take the load away, if it is still the one that is found. */
static void
lose(const Miss *miss, PyObject *table, PyObject *key, PyObject *flight)
{
    if (is_found(miss, table, key, flight) > 0) {
        PyObject *flights = Py_NewRef(SLOT(table, miss->flights));
        PyDict_DelItem(flights, key);
        Py_DECREF(flights);
    }
    PyErr_Clear();
}

/* Take a load out of those that run: whether it was this one, or -1 and an error. */
static int
pop(PyObject *flights, PyObject *key, PyObject *flight)
{
#if PY_VERSION_HEX >= 0x030D0000
    PyObject *popped;
    if (PyDict_Pop(flights, key, &popped) < 0) {
        return -1;
    }
#else
    PyObject *popped = _PyDict_Pop(flights, key, Py_None);
    if (popped == NULL) {
        return -1;
    }
#endif
    Py_XDECREF(popped);
    return popped == flight;
}

/* Leave no load behind that nobody ends: take it out and tell who waits. There may be no stack for
   a frame in Python. Keeps the error that is set. */
static void
abandon(const Miss *miss, PyObject *table, PyObject *key, PyObject *flight)
{
    PyObject *error = taken_error();
    if (call_slot(table, miss->acquire) == 0) {
        lose(miss, table, key, flight);
        call_slot(table, miss->release);
    }
    PyErr_Clear();
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(flight); i++) {
        PyObject *tell = Py_NewRef(PyList_GET_ITEM(flight, i));
        PyObject *told = PyObject_CallOneArg(tell, miss->abandoned);
        if (told == NULL) {
            PyErr_Clear();
        }
        Py_XDECREF(told);
        Py_DECREF(tell);
    }
    raise_again(error);
    Py_DECREF(error);
}

static PyObject *
entry_of(const Hit *hit, PyObject *key, PyObject *value, double now)
{
    double lasting = hit->miss->lasting;
    double until = hit->timed ? now + lasting : lasting;
    PyObject *entry = hit->entry_type->tp_alloc(hit->entry_type, 0);
    if (entry == NULL) {
        return NULL;
    }
    SLOT(entry, hit->miss->entry_key) = Py_NewRef(key);
    SLOT(entry, hit->value) = Py_NewRef(value);
    SLOT(entry, hit->hits) = PyLong_FromLong(0);
    SLOT(entry, hit->expires) = PyFloat_FromDouble(until);
    if (SLOT(entry, hit->expires) == NULL) {
        Py_CLEAR(entry);
    }
    return entry;
}

static PyObject *
tuple_of(const Hit *hit, PyObject *const *values)
{
    Py_ssize_t given = PyTuple_GET_SIZE(hit->names);
    PyObject *tuple = PyTuple_New(given);
    for (Py_ssize_t i = 0; tuple != NULL && i < given; i++) {
        PyTuple_SET_ITEM(tuple, i, Py_NewRef(values[i]));
    }
    return tuple;
}

/* Store an entry; what was thrown out comes back in `dropped`. 1, 0 if nothing has been done because
   there is an entry already, or -1 and an error. */
static int
store(
    const Hit *hit, PyObject *table, PyObject *key, PyObject *flight, PyObject *entry,
    PyObject *entries, PyObject *flights, double took, PyObject **dropped)
{
    const Miss *miss = hit->miss;
    PyObject *stored = PyDict_SetDefault(entries, key, entry);
    if (stored == NULL || stored != entry) {
        return stored == NULL ? -1 : 0;
    }
    int popped = pop(flights, key, flight);
    /* A comparison may have begun to count anew: then this load is not counted any more. */
    if (popped < 0 || (is_timed(miss, table) && count_load(miss, table, took) < 0)) {
        return -1;
    }
    /* A comparison may have written. */
    if (SLOT(table, hit->entries) != entries || SLOT(table, miss->flights) != flights) {
        return 1;
    }
    if (!popped) {
        if (PyDict_GetItemWithError(entries, key) == entry) {
            PyDict_DelItem(entries, key);
            return PyErr_Occurred() ? -1 : 1;
        }
        if (PyErr_Occurred()) {
            return -1;
        }
        /* Whoever took the entry out or replaced it took it for an admitted one. */
    }
    PyObject *admit = Py_XNewRef(SLOT(table, miss->admit));
    int admitted = admit == NULL ? -1 : pc_admit(hit, admit, table, entry, dropped);
    if (admitted == 0) {
        PyObject *given[] = {table, entry};
        *dropped = PyObject_Vectorcall(admit, given, 2, NULL);
        admitted = *dropped == NULL ? -1 : 1;
    }
    Py_XDECREF(admit);
    return admitted;
}

/* What `Table.finish` does of a table that is locked; what was thrown out comes back in `dropped`,
   to be freed when the lock is not held. */
static int
finish_locked(
    const Hit *hit, PyObject *table, PyObject *key, PyObject *flight, PyObject *const *values,
    PyObject *entry, double begun, double ended, PyObject **dropped)
{
    const Miss *miss = hit->miss;
    PyObject *entries = SLOT(table, hit->entries), *flights = SLOT(table, miss->flights);
    int done = 0;
    if (is_usual(miss, table) && is_timed(miss, table) && entries != NULL
        && PyDict_CheckExact(entries))
    {
        Py_INCREF(entries);
        Py_INCREF(flights);
        done = is_found(miss, table, key, flight);
        if (done > 0) {
            done = store(
                hit, table, key, flight, entry, entries, flights, ended - begun, dropped);
        }
        Py_DECREF(flights);
        Py_DECREF(entries);
    }
    if (done == 0) {
        PyObject *tuple = note_times(miss, flight, begun, ended) < 0 ? NULL : tuple_of(hit, values);
        *dropped = tuple == NULL ? NULL
                                 : PyObject_CallMethod(
                                     table, "finish", "OOOOO", key, flight, tuple,
                                     SLOT(entry, hit->value), SLOT(entry, hit->expires));
        Py_XDECREF(tuple);
        return *dropped == NULL ? -1 : 0;
    }
    if (done < 0 && PyErr_ExceptionMatches(PyExc_Exception)) {
        PyErr_Clear();
        Py_XSETREF(*dropped, PyObject_CallMethod(table, "distrust", NULL));
        done = *dropped == NULL ? -1 : 1;
    }
    else if (done < 0) {
        /* A signal, it may be in the midst of what the policy notes. */
        PyObject *error = taken_error();
        PyObject *over = PyObject_CallMethod(SLOT(table, miss->home), "start_over", NULL);
        if (over == NULL) {
            PyErr_Clear();
        }
        Py_XDECREF(over);
        raise_again(error);
        Py_DECREF(error);
    }
    return done < 0 ? -1 : 0;
}

/* Store what a load brought; 0, or -1 and an error. */
static int
finish(
    const Hit *hit, PyObject *table, PyObject *key, PyObject *flight, PyObject *const *values,
    PyObject *got, double begun, double ended)
{
    const Miss *miss = hit->miss;
    PyObject *entry = entry_of(hit, key, got, ended);
    if (entry == NULL || call_slot(table, miss->acquire) < 0) {
        Py_XDECREF(entry);
        return -1;
    }
    PyObject *dropped = NULL;
    int done = finish_locked(
        hit, table, key, flight, values, entry, begun, ended, &dropped);
    PyObject *error = done < 0 ? taken_error() : NULL;
    int released = call_slot(table, miss->release);
    if (error == NULL && released == 0 && dropped != NULL && PyTuple_CheckExact(dropped)) {
        /* The policy has something to do that must not be done under the lock. */
        PyObject *after = PyObject_CallNoArgs(PyTuple_GET_ITEM(dropped, 1));
        released = after == NULL ? -1 : 0;
        Py_XDECREF(after);
    }
    Py_XDECREF(dropped);
    Py_DECREF(entry);
    if (error != NULL) {
        PyErr_Clear();
        raise_again(error);
        Py_DECREF(error);
    }
    if (done < 0 || released < 0) {
        return -1;
    }
    if (PyList_GET_SIZE(flight) > 0) {
        PyObject *told = PyObject_CallMethod(flight, "land", "O", got);
        Py_XDECREF(told);
        return told == NULL ? -1 : 0;
    }
    return 0;
}

/* What a load came to, in any other case; its error if `got` is NULL. */
static PyObject *
land(
    const Hit *hit, PyObject *table, PyObject *key, PyObject *flight, PyObject *const *values,
    PyObject *target, PyObject *got)
{
    const Miss *miss = hit->miss;
    PyObject *outcome = Py_XNewRef(got);
    if (got == NULL) {
        PyObject *error = taken_error();
        outcome = PyObject_CallOneArg((PyObject *)miss->failure_type, error);
        Py_DECREF(error);
        if (outcome == NULL) {
            return NULL;
        }
    }
    PyObject *result = NULL;
    PyObject *tuple = tuple_of(hit, values);
    if (tuple != NULL) {
        PyObject *given[] = {miss->plan, table, key, flight, tuple, target, outcome};
        result = PyObject_Vectorcall(miss->landed, given, 7, NULL);
        Py_DECREF(tuple);
    }
    Py_DECREF(outcome);
    return result;
}

/* Enter a load, and do not if anything is unusual: 1, 0, or -1 and an error. As in `Table.enter`, a
   write that comes in meanwhile replaces the dictionary that the load is entered into. */
static int
enter(const Hit *hit, PyObject *table, PyObject *key, PyObject *flight)
{
    const Miss *miss = hit->miss;
    PyObject *entries = SLOT(table, hit->entries), *flights = SLOT(table, miss->flights);
    if (!is_usual(miss, table) || entries == NULL || !PyDict_CheckExact(entries)) {
        return 0;
    }
    Py_INCREF(entries);
    Py_INCREF(flights);
    int entered = 0;
    int there = PyDict_Contains(entries, key);
    if (there == 0) {
        PyObject *found = PyDict_SetDefault(flights, key, flight);
        entered = found == NULL ? -1 : found == flight;
    }
    Py_DECREF(flights);
    Py_DECREF(entries);
    if (there < 0) {
        return -1;
    }
    if (entered > 0 && pc_count(table, miss->misses) < 0) {
        PyObject *error = taken_error();
        lose(miss, table, key, flight);
        raise_again(error);
        Py_DECREF(error);
        return -1;
    }
    return entered;
}

/* Whether loads are stored there, as they are. */
static bool
is_open(const Hit *hit, PyObject *table)
{
    PyObject *home = SLOT(table, hit->miss->home), *name = hit->state->names[NAME_PLAINLY_OPEN];
    PyObject *open = home == NULL ? NULL : PyObject_GetAttr(home, name);
    if (open == NULL) {
        PyErr_Clear();
    }
    Py_XDECREF(open);
    return open == Py_True;
}

/* Load, once the load was entered, and bring it to its end. */
static PyObject *
run(const Hit *hit, PyObject *table, PyObject *key, PyObject *flight, PyObject *target,
    PyObject *call, PyObject *const *values)
{
    const Miss *miss = hit->miss;
    Py_ssize_t given = PyTuple_GET_SIZE(hit->names);
    PyObject *result = NULL;
    PyObject *token = PyContextVar_Set(miss->loading, flight);
    if (token != NULL) {
        Py_XSETREF(SLOT(flight, miss->token), Py_NewRef(token));
        PyObject *room[MOST_PARAMETERS + 1];
        for (Py_ssize_t i = 0; i < given; i++) {
            room[i + 1] = values[i];
        }
        double begun = pc_now();
        if (!PyErr_Occurred()) {
            result = PyObject_Vectorcall(
                call, room + 1, given | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
        }
        double ended = pc_now();
        if (result != NULL && PyErr_Occurred()) {
            Py_CLEAR(result);
        }
        if (result != NULL && is_atom(result)) {
            if (finish(hit, table, key, flight, values, result, begun, ended) < 0) {
                Py_CLEAR(result);
            }
        }
        else {
            PyObject *got = result;
            PyObject *error = got == NULL ? taken_error() : NULL;
            int noted = note_times(miss, flight, begun, ended);
            if (error != NULL) {
                PyErr_Clear();
                raise_again(error);
                Py_DECREF(error);
            }
            if (noted == 0 || got == NULL) {
                result = land(hit, table, key, flight, values, target, got);
            }
            else {
                result = NULL;
            }
            Py_XDECREF(got);
        }
    }
    if (result == NULL) {
        abandon(miss, table, key, flight);
    }
    if (token != NULL) {
        PyObject *error = result == NULL ? taken_error() : NULL;
        if (PyContextVar_Reset(miss->loading, token) < 0) {
            Py_CLEAR(result);
        }
        Py_DECREF(token);
        if (error != NULL) {
            PyErr_Clear();
            raise_again(error);
            Py_DECREF(error);
        }
    }
    if (result != NULL && Py_IS_TYPE(result, miss->failure_type)) {
        PyObject *error = SLOT(result, miss->error);
        raise_again(error);
        Py_CLEAR(result);
    }
    return result;
}

int
pc_miss(
    const Hit *hit, PyObject *owner, PyObject *key, PyObject *const *values, PyObject **result)
{
    const Miss *miss = hit->miss;
    Py_ssize_t length = PyTuple_GET_SIZE(key) / 2;
    const PyObject *hooks = hit->state->hooks;
    if (miss == NULL || length == 0 || !hit->state->real || hooks == NULL
        || PyList_GET_SIZE(hooks) > 0)
    {
        return 0;
    }
    for (Py_ssize_t i = 0; i < length; i++) {
        if (!is_atom(PyTuple_GET_ITEM(key, i))) {
            return 0;
        }
    }
    PyObject *table = SLOT(owner, hit->table), *target = SLOT(owner, miss->target);
    if (table == NULL || !PyObject_TypeCheck(table, hit->table_type) || target == NULL
        || !is_open(hit, table))
    {
        return 0;
    }
    Py_INCREF(table);
    Py_INCREF(target);
    int entered = -1;
    PyObject *call = PyObject_GetAttr(target, miss->name);
    PyObject *flight = call == NULL ? NULL : PyObject_CallNoArgs((PyObject *)miss->flight_type);
    if (flight != NULL) {
        entered = enter(hit, table, key, flight);
        if (entered > 0) {
            *result = run(hit, table, key, flight, target, call, values);
            entered = *result == NULL ? -1 : 1;
        }
    }
    Py_XDECREF(flight);
    Py_XDECREF(call);
    Py_DECREF(target);
    Py_DECREF(table);
    return entered;
}

void
pc_free_miss(Hit *hit)
{
    Miss *miss = hit->miss;
    if (miss != NULL) {
        hit->miss = NULL;
        Py_XDECREF(miss->plan);
        Py_XDECREF(miss->landed);
        Py_XDECREF(miss->abandoned);
        Py_XDECREF(miss->loading);
        Py_XDECREF(miss->name);
        Py_XDECREF((PyObject *)miss->flight_type);
        Py_XDECREF((PyObject *)miss->failure_type);
        PyMem_Free(miss);
    }
}

int
pc_traverse_miss(const Hit *hit, visitproc visit, void *arg)
{
    const Miss *miss = hit->miss;
    if (miss != NULL) {
        Py_VISIT(miss->plan);
        Py_VISIT(miss->landed);
        Py_VISIT(miss->abandoned);
        Py_VISIT(miss->loading);
        Py_VISIT(miss->flight_type);
        Py_VISIT(miss->failure_type);
    }
    return 0;
}

/* Find the slots that are named; 0, or -1 and an error. */
static int
find_slots(Hit *hit, Miss *miss, PyObject *target)
{
    const struct {
        PyTypeObject *type;
        const char *name;
        Py_ssize_t *at;
    } slots[] = {
        {hit->table_type, "flights", &miss->flights},
        {hit->table_type, "fences", &miss->fences},
        {hit->table_type, "indexes", &miss->indexes},
        {hit->table_type, "mixed", &miss->mixed},
        {hit->table_type, "misses", &miss->misses},
        {hit->table_type, "loads", &miss->loads},
        {hit->table_type, "_admit", &miss->admit},
        {hit->table_type, "acquire", &miss->acquire},
        {hit->table_type, "release", &miss->release},
        {hit->table_type, "home", &miss->home},
        {hit->table_type, "hidden", &miss->hidden},
        {hit->table_type, "serial", &miss->serial},
        {hit->table_type, "evictions", &miss->evictions},
        {hit->entry_type, "key", &miss->entry_key},
        {hit->table_type, "load_time", &miss->load_time},
        {hit->table_type, "load_times", &miss->load_times},
        {miss->flight_type, "token", &miss->token},
        {miss->flight_type, "begun", &miss->begun},
        {miss->flight_type, "took", &miss->took},
        {miss->failure_type, "error", &miss->error},
    };
    for (size_t i = 0; i < sizeof(slots) / sizeof(slots[0]); i++) {
        *slots[i].at = pc_slot_named(slots[i].type, slots[i].name);
        if (*slots[i].at < 0) {
            return -1;
        }
    }
    miss->target = pc_slot_offset(hit->owner, target);
    return miss->target < 0 ? -1 : 0;
}

PyObject *
pc_bind_miss(PyObject *op, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"target", "name", "plan", "lasting", "landed", "abandoned",
                               "loading", "flight_type", "failure_type", NULL};
    Hit *hit = (Hit *)op;
    PyObject *target, *name, *plan, *landed, *abandoned, *loading;
    PyTypeObject *flight_type, *failure_type;
    double lasting;
    if (!PyArg_ParseTupleAndKeywords(
            args, kwargs, "$UUOdOOO!O!O!:bind_miss", keywords, &target, &name, &plan, &lasting,
            &landed, &abandoned, &PyContextVar_Type, &loading, &PyType_Type, &flight_type,
            &PyType_Type, &failure_type))
    {
        return NULL;
    }
    if (hit->owner == NULL || hit->asynchronous || hit->miss != NULL
        || !PyType_IsSubtype(flight_type, &PyList_Type))
    {
        PyErr_SetString(
            PyExc_TypeError, "once, after bind_owner, not asynchronous, and flights are lists");
        return NULL;
    }
    Miss *miss = PyMem_Calloc(1, sizeof(Miss));
    if (miss == NULL) {
        return PyErr_NoMemory();
    }
    miss->plan = Py_NewRef(plan);
    miss->landed = Py_NewRef(landed);
    miss->abandoned = Py_NewRef(abandoned);
    miss->loading = Py_NewRef(loading);
    miss->name = Py_NewRef(name);
    miss->flight_type = (PyTypeObject *)Py_NewRef((PyObject *)flight_type);
    miss->failure_type = (PyTypeObject *)Py_NewRef((PyObject *)failure_type);
    miss->lasting = lasting;
    int found = find_slots(hit, miss, target);
    hit->miss = miss;
    if (found < 0) {
        pc_free_miss(hit);
        return NULL;
    }
    Py_RETURN_NONE;
}
