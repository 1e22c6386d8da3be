/* What `LazyTinyLfu.admit` of cache/eviction.py does where a cache is being filled, and where the
   first of the window is of no use and goes, in C.

   It is called under the cache's lock, and does the same steps in the same order as the method does.
   To find a key among others that have the same hash may be to run their code, and so may be to free
   something: what is used afterwards is held, and what is read again is looked at again. Whatever is
   unusual is left to the method before anything was done about it, or to the one that the method
   itself would call. */

#include "speed.h"

/* As in cache/eviction.py: what need not be done with every admission is done with every 64th. */
enum { CHORES = 64 };

static bool
number(PyObject *object, long long *value)
{
    if (object == NULL || !PyLong_CheckExact(object)) {
        return false;
    }
    int overflow;
    *value = PyLong_AsLongLongAndOverflow(object, &overflow);
    return overflow == 0;
}

static int
set_number(PyObject *object, Py_ssize_t at, long long value)
{
    PyObject *number = PyLong_FromLongLong(value);
    if (number == NULL) {
        return -1;
    }
    Py_XSETREF(SLOT(object, at), number);
    return 0;
}

static int
push(const Policy *policy, PyObject *queue, PyObject *value)
{
    PyObject *given[] = {queue, value};
    PyObject *pushed = value == NULL ? NULL : PyObject_Vectorcall(policy->append, given, 2, NULL);
    Py_XDECREF(pushed);
    return pushed == NULL ? -1 : 0;
}

static PyObject *
pop(const Policy *policy, PyObject *queue)
{
    return PyObject_Vectorcall(policy->popleft, &queue, 1, NULL);
}

/* Whether the key was asked for, this time included, no more often than the bar says; only then this
   time is counted. */
static bool
lost(const Policy *policy, PyObject *self, long long place, long long bar, Py_ssize_t *at)
{
    PyObject *sketch = SLOT(self, policy->sketch);
    long long mask;
    if (sketch == NULL || !Py_IS_TYPE(sketch, policy->sketch_type)
        || !number(SLOT(sketch, policy->mask), &mask))
    {
        return false;
    }
    PyObject *counters = SLOT(sketch, policy->counters);
    *at = (Py_ssize_t)(place & mask);
    if (counters == NULL || !PyByteArray_CheckExact(counters) || *at < 0
        || *at >= PyByteArray_GET_SIZE(counters))
    {
        return false;
    }
    unsigned char *counter = (unsigned char *)PyByteArray_AS_STRING(counters) + *at;
    if (*counter >= bar) {
        return false;
    }
    *counter += 1;
    return true;
}

/* What `LazyTinyLfu._note` does. */
static int
note(const Policy *policy, PyObject *self, long long place)
{
    PyObject *evicted = SLOT(self, policy->evicted), *last = SLOT(self, policy->last_evicted);
    if (evicted == NULL || last == NULL || !PyFloat_CheckExact(last)) {
        PyErr_SetString(PyExc_SystemError, "a policy that tells nobody");
        return -1;
    }
    Py_INCREF(evicted);
    double now = pc_now();
    PyObject *done = Py_NewRef(Py_None);
    if (now - PyFloat_AS_DOUBLE(last) > 1.0) {
        PyObject *mark = PyFloat_FromDouble(now);
        Py_SETREF(done, mark == NULL ? NULL : PyObject_CallOneArg(evicted, mark));
        Py_XSETREF(SLOT(self, policy->last_evicted), mark);
    }
    if (done != NULL) {
        PyObject *number = PyLong_FromLongLong(place);
        Py_SETREF(done, number == NULL ? NULL : PyObject_CallOneArg(evicted, number));
        Py_XDECREF(number);
    }
    Py_DECREF(evicted);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

/* Throw out who has left the window: 1, 0 if it is not to go, or -1 and an error. */
static int
throw_out(
    const Hit *hit, PyObject *self, PyObject *owner, PyObject *entries, PyObject *key,
    PyObject *loser, long long bar, PyObject **dropped)
{
    const Policy *policy = &hit->state->policy;
    long long serial, uses;
    if (SLOT(loser, hit->miss->entry_key) != key || !number(SLOT(loser, hit->hits), &uses) || uses
        || !number(SLOT(owner, hit->miss->serial), &serial))
    {
        return 0;
    }
    Py_hash_t hash = PyObject_Hash(key);
    if (hash == -1 && PyErr_Occurred()) {
        return -1;
    }
    long long place = (long long)hash ^ serial;
    Py_ssize_t at;
    if (!lost(policy, self, place, bar, &at)) {
        return 0;
    }
    if (PyDict_DelItem(entries, key) < 0 || pc_count(owner, hit->miss->evictions) < 0) {
        return -1;
    }
    PyObject *indexes = SLOT(owner, hit->miss->indexes);
    if (indexes != NULL && PyDict_Check(indexes) && PyDict_GET_SIZE(indexes) > 0) {
        PyObject *done = PyObject_CallMethodOneArg(owner, hit->state->names[NAME_UNINDEX], key);
        Py_XDECREF(done);
        if (done == NULL) {
            return -1;
        }
    }
    if (note(policy, self, place) < 0) {
        return -1;
    }
    *dropped = at & (CHORES - 1)
                   ? Py_NewRef(loser)
                   : PyObject_CallMethodOneArg(self, hit->state->names[NAME_CHORES], loser);
    return *dropped == NULL ? -1 : 1;
}

/* Make room, when somebody new is in the window: what was thrown out, or NULL and an error. */
static PyObject *
make_room(
    const Hit *hit, PyObject *self, PyObject *owner, PyObject *key, long long bar)
{
    PyObject *hidden = SLOT(owner, hit->miss->hidden);
    PyObject *entries = hidden == Py_None ? SLOT(owner, hit->entries) : hidden;
    PyObject *loser = NULL, *dropped = NULL;
    if (entries != NULL && PyDict_CheckExact(entries)) {
        Py_INCREF(entries);
        loser = Py_XNewRef(PyDict_GetItemWithError(entries, key));
        int done = 0;
        if (loser == NULL && PyErr_Occurred()) {
            if (PyErr_ExceptionMatches(PyExc_Exception)) {
                PyErr_Clear();
                dropped = PyObject_CallMethodNoArgs(self, hit->state->names[NAME_EVICT]);
            }
            done = dropped == NULL ? -1 : 1;
        }
        else if (loser != NULL && PyObject_TypeCheck(loser, hit->entry_type)) {
            done = throw_out(hit, self, owner, entries, key, loser, bar, &dropped);
        }
        Py_DECREF(entries);
        if (done != 0) {
            Py_XDECREF(loser);
            return dropped;
        }
    }
    PyObject *given[] = {self, owner, key, loser == NULL ? Py_None : loser};
    dropped = PyObject_VectorcallMethod(hit->state->names[NAME_STAYS], given, 4, NULL);
    Py_XDECREF(loser);
    return dropped;
}

static PyObject *
replace(
    const Hit *hit, PyObject *self, PyObject *keys, PyObject *tables, PyObject *table,
    PyObject *entry, long long bar)
{
    const Policy *policy = &hit->state->policy;
    if (push(policy, keys, SLOT(entry, hit->miss->entry_key)) < 0
        || push(policy, tables, table) < 0)
    {
        return NULL;
    }
    PyObject *dropped = NULL;
    PyObject *key = pop(policy, keys), *owner = key == NULL ? NULL : pop(policy, tables);
    if (owner != NULL && !PyObject_TypeCheck(owner, hit->table_type)) {
        PyErr_SetString(PyExc_SystemError, "what is in a queue is no table");
    }
    else if (owner != NULL) {
        dropped = make_room(hit, self, owner, key, bar);
    }
    Py_XDECREF(owner);
    Py_XDECREF(key);
    return dropped;
}

int
pc_admit(
    const Hit *hit, PyObject *admit, PyObject *table, PyObject *entry, PyObject **dropped)
{
    const Policy *policy = &hit->state->policy;
    if (policy->type == NULL || !PyMethod_Check(admit)
        || PyMethod_GET_FUNCTION(admit) != policy->admit
        || !Py_IS_TYPE(PyMethod_GET_SELF(admit), policy->type))
    {
        return 0;
    }
    PyObject *self = PyMethod_GET_SELF(admit);
    PyObject *soonest = SLOT(self, policy->soonest), *expires = SLOT(entry, hit->expires);
    PyObject *keys = SLOT(self, policy->keys), *tables = SLOT(self, policy->tables);
    PyObject *room = SLOT(self, policy->room);
    long long bar, live, chores_in;
    if (soonest == NULL || !PyFloat_CheckExact(soonest) || !PyFloat_CheckExact(expires)
        || PyFloat_AS_DOUBLE(expires) < PyFloat_AS_DOUBLE(soonest) || keys == NULL
        || !Py_IS_TYPE(keys, policy->queue_type) || tables == NULL
        || !Py_IS_TYPE(tables, policy->queue_type) || room == NULL
        || !(PyLong_CheckExact(room) || PyFloat_CheckExact(room))
        || !number(SLOT(self, policy->bar), &bar) || !number(SLOT(self, policy->live), &live)
        || !number(SLOT(self, policy->chores_in), &chores_in))
    {
        return 0;
    }
    double most = PyFloat_AsDouble(room);
    if (most == -1.0 && PyErr_Occurred()) {
        PyErr_Clear();
        return 0;
    }
    bool filling = (double)live < most;
    if (filling ? chores_in <= 1 : bar < 0) {
        return 0;
    }
    Py_INCREF(self);
    Py_INCREF(keys);
    Py_INCREF(tables);
    int done = -1;
    if (!filling) {
        *dropped = replace(hit, self, keys, tables, table, entry, bar);
        done = *dropped == NULL ? -1 : 1;
    }
    else if (push(policy, keys, SLOT(entry, hit->miss->entry_key)) == 0
             && push(policy, tables, table) == 0
             && set_number(self, policy->live, live + 1) == 0
             && set_number(self, policy->bar, -1) == 0
             && set_number(self, policy->chores_in, chores_in - 1) == 0)
    {
        *dropped = Py_NewRef(Py_None);
        done = 1;
    }
    Py_DECREF(tables);
    Py_DECREF(keys);
    Py_DECREF(self);
    return done;
}

void
pc_forget_policy(State *state)
{
    Policy *policy = &state->policy;
    Py_CLEAR(policy->type);
    Py_CLEAR(policy->sketch_type);
    Py_CLEAR(policy->queue_type);
    Py_CLEAR(policy->admit);
    Py_CLEAR(policy->append);
    Py_CLEAR(policy->popleft);
}

int
pc_traverse_policy(State *state, visitproc visit, void *arg)
{
    const Policy *policy = &state->policy;
    Py_VISIT(policy->type);
    Py_VISIT(policy->sketch_type);
    Py_VISIT(policy->queue_type);
    Py_VISIT(policy->admit);
    Py_VISIT(policy->append);
    Py_VISIT(policy->popleft);
    return 0;
}

PyObject *
pc_use_policy(PyObject *module, PyObject *args)
{
    PyTypeObject *type, *sketch_type, *queue_type;
    if (!PyArg_ParseTuple(
            args, "O!O!O!:use_policy", &PyType_Type, &type, &PyType_Type, &sketch_type,
            &PyType_Type, &queue_type))
    {
        return NULL;
    }
    State *state = PyModule_GetState(module);
    pc_forget_policy(state);
    Policy *policy = &state->policy;
    const struct {
        PyTypeObject *type;
        const char *name;
        Py_ssize_t *at;
    } slots[] = {
        {type, "soonest", &policy->soonest},     {type, "_keys", &policy->keys},
        {type, "_tables", &policy->tables},      {type, "_bar", &policy->bar},
        {type, "live", &policy->live},           {type, "_room", &policy->room},
        {type, "_chores_in", &policy->chores_in}, {type, "_sketch", &policy->sketch},
        {type, "_evicted", &policy->evicted},    {type, "_last_evicted", &policy->last_evicted},
        {sketch_type, "counters", &policy->counters}, {sketch_type, "mask", &policy->mask},
    };
    for (size_t i = 0; i < sizeof(slots) / sizeof(slots[0]); i++) {
        *slots[i].at = pc_slot_named(slots[i].type, slots[i].name);
        if (*slots[i].at < 0) {
            return NULL;
        }
    }
    policy->admit = PyObject_GetAttrString((PyObject *)type, "admit");
    policy->append = PyObject_GetAttrString((PyObject *)queue_type, "append");
    policy->popleft = PyObject_GetAttrString((PyObject *)queue_type, "popleft");
    if (policy->admit == NULL || policy->append == NULL || policy->popleft == NULL) {
        return NULL;
    }
    policy->sketch_type = (PyTypeObject *)Py_NewRef((PyObject *)sketch_type);
    policy->queue_type = (PyTypeObject *)Py_NewRef((PyObject *)queue_type);
    policy->type = (PyTypeObject *)Py_NewRef((PyObject *)type);
    Py_RETURN_NONE;
}
