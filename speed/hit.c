/* The hit path of a cached method of a proxy, compiled: what compile.py generates as _IN_PYTHON,
   sooner.

   Only hits are answered here. Whatever is unusual about a call is handed on as it came, so that
   what happens then is decided once, in Python. The count of hits relies on the GIL. */

#include "speed.h"

enum { NAME_NOT_KNOWN = -1 };

/* From 3.14 on a tuple keeps its hash, and cannot be filled twice. */
#define REUSE_KEYS (PY_VERSION_HEX < 0x030E0000)

double
pc_now(void)
{
    /* The very functions behind time.monotonic: entries got their expiry from it, so that unit,
       epoch and rounding have to be the same. */
#if PY_VERSION_HEX >= 0x030D0000
    PyTime_t now;
    /* Where there is no telling, nothing is served. */
    return PyTime_Monotonic(&now) == 0 ? PyTime_AsSecondsDouble(now) : Py_HUGE_VAL;
#else
    return _PyTime_AsSecondsDouble(_PyTime_GetMonotonicClock());
#endif
}

/* `except Exception: pass` */
static int
passed(void)
{
    if (!PyErr_ExceptionMatches(PyExc_Exception)) {
        return -1;
    }
    PyErr_Clear();
    return 0;
}

static Py_ssize_t
position(const Hit *self, PyObject *name)
{
    Py_ssize_t count = PyTuple_GET_SIZE(self->names);
    for (Py_ssize_t i = 0; i < count; i++) {
        if (PyTuple_GET_ITEM(self->names, i) == name) {
            return i;
        }
    }
    /* Not interned, as in **json.loads(...). A subclass might compare as it likes: not here. */
    if (PyUnicode_CheckExact(name)) {
        for (Py_ssize_t i = 0; i < count; i++) {
            if (PyUnicode_Compare(PyTuple_GET_ITEM(self->names, i), name) == 0) {
                return i;
            }
        }
    }
    return NAME_NOT_KNOWN;
}

bool
pc_bind(
    const Hit *self, PyObject *const *args, Py_ssize_t given, PyObject *kwnames,
    PyObject **bound)
{
    Py_ssize_t count = PyTuple_GET_SIZE(self->names);
    for (Py_ssize_t i = 0; i < count; i++) {
        bound[i] = i < given ? args[i] : NULL;
    }
    Py_ssize_t named = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    for (Py_ssize_t k = 0; k < named; k++) {
        Py_ssize_t i = position(self, PyTuple_GET_ITEM(kwnames, k));
        if (i == NAME_NOT_KNOWN || bound[i] != NULL) {
            return false;
        }
        bound[i] = args[given + k];
    }
    Py_ssize_t needed = count - PyTuple_GET_SIZE(self->defaults);
    for (Py_ssize_t i = given; i < count; i++) {
        if (bound[i] == NULL) {
            if (i < needed) {
                return false;
            }
            bound[i] = PyTuple_GET_ITEM(self->defaults, i - needed);
        }
    }
    return true;
}

/* Making and freeing a tuple costs as much as looking it up: one is kept. A call within a call, by
   way of a comparison, finds none to take and makes another. */
static PyObject *
take_key(Hit *self, PyObject *const *values)
{
    Py_ssize_t length = self->key_length;
    PyObject *key = self->spare_key;
    self->spare_key = NULL;
    if (key == NULL) {
        key = PyTuple_New(2 * length);
        if (key == NULL) {
            return NULL;
        }
        if (REUSE_KEYS && length > 0) {
            /* Whoever asks the garbage collector for all tuples does not see this one change. */
            PyObject_GC_UnTrack(key);
        }
    }
    for (Py_ssize_t i = 0; i < length; i++) {
        PyObject *value = values[self->key_positions[i]];
        PyTuple_SET_ITEM(key, i, Py_NewRef(value));
        PyTuple_SET_ITEM(key, length + i, Py_NewRef((PyObject *)Py_TYPE(value)));
    }
    return key;
}

static void
give_key(Hit *self, PyObject *key)
{
    Py_ssize_t length = self->key_length;
    if (REUSE_KEYS && length > 0) {
        if (Py_REFCNT(key) == 1) {
            for (Py_ssize_t i = 0; i < 2 * length; i++) {
                PyObject *item = PyTuple_GET_ITEM(key, i);
                PyTuple_SET_ITEM(key, i, NULL);
                Py_DECREF(item);
            }
            if (self->spare_key == NULL) {
                self->spare_key = key;
                return;
            }
        }
        else {
            /* A comparison got hold of it and keeps it: it is a tuple like any other now. */
            PyObject_GC_Track(key);
        }
    }
    Py_DECREF(key);
}

/* Return a new reference to an entry, or NULL, without or with an error. */
static PyObject *
find(const Hit *self, PyObject *owner, PyObject *key)
{
    PyObject *table = SLOT(owner, self->table);
    if (table == NULL || !PyObject_TypeCheck(table, self->table_type)) {
        return NULL;
    }
    PyObject *entries = SLOT(table, self->entries);
    if (entries == NULL || !PyDict_CheckExact(entries)) {
        return NULL;
    }
    /* Comparing keys may run code of the user's, and that may replace or empty the dictionary. */
    Py_INCREF(entries);
    PyObject *entry = PyDict_GetItemWithError(entries, key);
    Py_XINCREF(entry);
    Py_DECREF(entries);
    return entry;
}

/* Take note of when an entry was used; false if it cannot be. Frees nothing but a number. */
static bool
note_use(const Hit *self, PyObject *entry, double now)
{
    PyObject *used = SLOT(entry, self->used);
    if (used == NULL || !PyFloat_CheckExact(used)) {
        return false;
    }
    if (Py_REFCNT(used) == 1) {
        /* Nobody else has this number, so nobody sees it change. */
        ((PyFloatObject *)used)->ob_fval = now;
        return true;
    }
    PyObject *noted = PyFloat_FromDouble(now);
    if (noted == NULL) {
        PyErr_Clear();
        return false;
    }
    SLOT(entry, self->used) = noted;
    Py_DECREF(used);
    return true;
}

/* Return a new reference to an entry's value and count the hit; NULL as above. */
static PyObject *
serve(const Hit *self, PyObject *entry)
{
    if (!PyObject_TypeCheck(entry, self->entry_type)) {
        return NULL;
    }
    PyObject *expires = SLOT(entry, self->expires);
    PyObject *hits = SLOT(entry, self->hits);
    PyObject *value = SLOT(entry, self->value);
    if (expires == NULL || !PyFloat_CheckExact(expires) || value == NULL || hits == NULL
        || !PyLong_CheckExact(hits))
    {
        return NULL;
    }
    double until = PyFloat_AS_DOUBLE(expires);
    double now = self->timed ? pc_now() : self->state->floor;
    if (!(until > now)) {
        return NULL;
    }
    int overflow;
    long long count = PyLong_AsLongLongAndOverflow(hits, &overflow);
    if (overflow || count == PY_LLONG_MAX) {
        return NULL;
    }
    PyObject *counted = PyLong_FromLongLong(count + 1);
    if (counted == NULL) {
        return NULL;
    }
    if (self->used != 0 && !note_use(self, entry, now)) {
        Py_DECREF(counted);
        return NULL;
    }
    /* Nothing above ran Python, so these are still the entry's. */
    SLOT(entry, self->hits) = counted;
    Py_INCREF(value);
    Py_DECREF(hits);
    return value;
}

bool
pc_serves(const Hit *self, PyObject *owner)
{
    /* Also whoever calls this after the garbage collector has cleared it finds no owner. */
    return self->owner != NULL && PyObject_TypeCheck(owner, self->owner)
           && (self->state->real || !self->timed);
}

int
pc_answer(Hit *self, PyObject *owner, PyObject *const *values, PyObject **result)
{
    /* First of all, because the garbage collector may run here, and any finalizer with it. */
    PyObject *key = take_key(self, values);
    if (key == NULL) {
        return passed();
    }
    PyObject *entry = find(self, owner, key);
    *result = entry == NULL ? NULL : serve(self, entry);
    int found = *result != NULL ? 1 : PyErr_Occurred() ? passed() : 0;
    if (entry == NULL && found == 0 && self->miss != NULL) {
        found = pc_miss(self, owner, key, values, result);
    }
    give_key(self, key);
    Py_XDECREF(entry);
    return found;
}

PyObject *
pc_hit_vectorcall(PyObject *op, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    Hit *self = (Hit *)op;
    Py_ssize_t given = PyVectorcall_NARGS(nargsf) - 1;
    if (self->asynchronous) {
        return pc_coroutine(self, args, given, kwnames);
    }
    if (given >= 0 && pc_serves(self, args[0])) {
        Py_ssize_t count = PyTuple_GET_SIZE(self->names);
        PyObject *bound[MOST_PARAMETERS];
        PyObject *const *values = args + 1;
        bool fits = true;
        if (given != count || kwnames != NULL) {
            fits = given <= count && pc_bind(self, values, given, kwnames, bound);
            values = bound;
        }
        PyObject *result;
        int found = fits ? pc_answer(self, args[0], values, &result) : 0;
        if (found != 0) {
            return found > 0 ? result : NULL;
        }
    }
    if (self->fallback == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "called after it was cleared as garbage");
        return NULL;
    }
    return PyObject_Vectorcall(self->fallback, args, nargsf, kwnames);
}

Py_ssize_t
pc_slot_offset(PyTypeObject *type, PyObject *name)
{
    PyObject *found = PyObject_GetAttr((PyObject *)type, name);
    if (found == NULL) {
        return -1;
    }
    Py_ssize_t offset = -1;
    if (Py_IS_TYPE(found, &PyMemberDescr_Type)) {
        const PyMemberDef *member = ((PyMemberDescrObject *)found)->d_member;
        /* A descriptor may have been put into a class that it was not made for. */
        if (member->type == T_OBJECT_EX && !(member->flags & READONLY)
            && PyType_IsSubtype(type, PyDescr_TYPE(found)))
        {
            offset = member->offset;
        }
    }
    Py_DECREF(found);
    if (offset < 0) {
        PyErr_Format(PyExc_TypeError, "%R is not a name in the __slots__ of %R", name, type);
    }
    return offset;
}

Py_ssize_t
pc_slot_named(PyTypeObject *type, const char *name)
{
    PyObject *text = PyUnicode_InternFromString(name);
    if (text == NULL) {
        return -1;
    }
    Py_ssize_t offset = pc_slot_offset(type, text);
    Py_DECREF(text);
    return offset;
}

/* Take over what a call is bound and keyed by; false and an error if it cannot be. */
static bool
set_parameters(Hit *self, PyObject *names, PyObject *positions, PyObject *defaults)
{
    Py_ssize_t count = PyTuple_GET_SIZE(names), length = PyTuple_GET_SIZE(positions);
    if (count > MOST_PARAMETERS || length > count || PyTuple_GET_SIZE(defaults) > count) {
        PyErr_Format(
            PyExc_ValueError, "at most %d names, and no more key_positions or defaults than names",
            (int)MOST_PARAMETERS);
        return false;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        if (!PyUnicode_CheckExact(PyTuple_GET_ITEM(names, i))) {
            PyErr_SetString(PyExc_TypeError, "names must be strings");
            return false;
        }
    }
    for (Py_ssize_t i = 0; i < length; i++) {
        Py_ssize_t at = PyNumber_AsSsize_t(PyTuple_GET_ITEM(positions, i), PyExc_ValueError);
        if (at == -1 && PyErr_Occurred()) {
            return false;
        }
        if (at < 0 || at >= count) {
            PyErr_SetString(PyExc_ValueError, "key_positions must be positions in names");
            return false;
        }
        self->key_positions[i] = (unsigned char)at;
    }
    self->key_length = length;
    self->names = Py_NewRef(names);
    self->defaults = Py_NewRef(defaults);
    return true;
}

static PyObject *
hit_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"fallback", "table_type", "entry_type", "names", "key_positions",
                               "defaults", "timed",      "asynchronous",  "idle",  "watched",
                               NULL};
    PyObject *fallback;
    PyObject *names = NULL, *positions = NULL, *defaults = NULL;
    PyTypeObject *table_type = NULL, *entry_type = NULL;
    int timed = -1, asynchronous = 0, idle = 0, watched = 0;
    if (!PyArg_ParseTupleAndKeywords(
            args, kwargs, "O|$O!O!O!O!O!pppp:Hit", keywords, &fallback, &PyType_Type, &table_type,
            &PyType_Type, &entry_type, &PyTuple_Type, &names, &PyTuple_Type, &positions,
            &PyTuple_Type, &defaults, &timed, &asynchronous, &idle, &watched))
    {
        return NULL;
    }
    if (!table_type || !entry_type || !names || !positions || !defaults || timed < 0) {
        PyErr_SetString(PyExc_TypeError, "every argument but asynchronous, idle and watched must be given");
        return NULL;
    }
    if (!PyCallable_Check(fallback)) {
        PyErr_SetString(PyExc_TypeError, "fallback must be callable");
        return NULL;
    }
    PyObject *module = PyType_GetModule(type);
    Hit *self = module == NULL ? NULL : (Hit *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->vectorcall = watched ? pc_watched_vectorcall : pc_hit_vectorcall;
    self->module = Py_NewRef(module);
    self->state = PyModule_GetState(module);
    self->fallback = Py_NewRef(fallback);
    self->table_type = (PyTypeObject *)Py_NewRef((PyObject *)table_type);
    self->entry_type = (PyTypeObject *)Py_NewRef((PyObject *)entry_type);
    self->timed = timed;
    self->asynchronous = asynchronous;
    if ((self->entries = pc_slot_named(table_type, "entries")) < 0
        || (self->expires = pc_slot_named(entry_type, "expires")) < 0
        || (self->hits = pc_slot_named(entry_type, "hits")) < 0
        || (self->value = pc_slot_named(entry_type, "value")) < 0
        || (idle && (self->used = pc_slot_named(entry_type, "used")) < 0)
        || (watched && (self->watch = pc_slot_named(table_type, "watch")) < 0)
        || !set_parameters(self, names, positions, defaults))
    {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static int
hit_traverse(PyObject *op, visitproc visit, void *arg)
{
    Hit *self = (Hit *)op;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->dict);
    Py_VISIT(self->module);
    Py_VISIT(self->fallback);
    Py_VISIT(self->owner);
    Py_VISIT(self->table_type);
    Py_VISIT(self->entry_type);
    Py_VISIT(self->names);
    Py_VISIT(self->defaults);
    return pc_traverse_miss(self, visit, arg);
}

static int
hit_clear(PyObject *op)
{
    Hit *self = (Hit *)op;
    /* The owner goes first: without it, no call reads any of the others. */
    Py_CLEAR(self->owner);
    Py_CLEAR(self->dict);
    Py_CLEAR(self->module);
    Py_CLEAR(self->fallback);
    Py_CLEAR(self->table_type);
    Py_CLEAR(self->entry_type);
    Py_CLEAR(self->names);
    Py_CLEAR(self->defaults);
    Py_CLEAR(self->spare_key);
    pc_free_spare_coroutine(self);
    pc_free_miss(self);
    return 0;
}

static void
hit_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    if (((Hit *)op)->weakrefs != NULL) {
        PyObject_ClearWeakRefs(op);
    }
    hit_clear(op);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyObject *
hit_get(PyObject *self, PyObject *instance, PyObject *Py_UNUSED(owner))
{
    if (instance == NULL || instance == Py_None) {
        return Py_NewRef(self);
    }
    return PyMethod_New(self, instance);
}

static PyObject *
hit_bind_owner(PyObject *op, PyObject *args)
{
    Hit *self = (Hit *)op;
    PyTypeObject *owner;
    PyObject *slot;
    if (!PyArg_ParseTuple(args, "O!U:bind_owner", &PyType_Type, &owner, &slot)) {
        return NULL;
    }
    Py_ssize_t offset = pc_slot_offset(owner, slot);
    if (offset < 0) {
        return NULL;
    }
    self->table = offset;
    Py_XSETREF(self->owner, (PyTypeObject *)Py_NewRef((PyObject *)owner));
    Py_RETURN_NONE;
}

/* Copied and pickled as a function is: by reference. */
static PyObject *
hit_reduce(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return PyObject_GetAttrString(self, "__qualname__");
}

static PyMethodDef hit_methods[] = {
    {"bind_owner", hit_bind_owner, METH_VARARGS, NULL},
    {"bind_miss", (PyCFunction)(void (*)(void))pc_bind_miss, METH_VARARGS | METH_KEYWORDS, NULL},
    {"__reduce__", hit_reduce, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef hit_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Hit, vectorcall), READONLY, NULL},
    {"__dictoffset__", T_PYSSIZET, offsetof(Hit, dict), READONLY, NULL},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(Hit, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef hit_getset[] = {
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot hit_slots[] = {
    {Py_tp_new, hit_new},
    {Py_tp_dealloc, hit_dealloc},
    {Py_tp_traverse, hit_traverse},
    {Py_tp_clear, hit_clear},
    {Py_tp_call, PyVectorcall_Call},
    {Py_tp_descr_get, hit_get},
    {Py_tp_methods, hit_methods},
    {Py_tp_members, hit_members},
    {Py_tp_getset, hit_getset},
    {0, NULL},
};

PyType_Spec pc_hit_spec = {
    .name = "pussycache._speed.Hit",
    .basicsize = sizeof(Hit),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL
             | Py_TPFLAGS_METHOD_DESCRIPTOR | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = hit_slots,
};
