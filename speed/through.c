/* How a proxy reads the attributes of its target, for CPython 3.11.

   3.11 specialises no attribute look-up on a class with `__getattr__`, and a proxy has to have one.
   So there its class is given a look-up of its own, which does what `BaseProxy.__getattr__` and the
   properties of standin.py do, and keeps the bound methods that it made: a method is looked up at
   every call, and made anew only if the target has another one by now. From 3.12 on the interpreter
   is as fast by itself. */

#include "speed.h"

#if PC_THROUGH

/* The same in every generated class, because they are slots of a common base. */
static Py_ssize_t target_at = -1, methods_at = -1;

/* A method of the target, and what must not have changed for it to be still the one: versions are
   given once in the life of an interpreter. */
typedef struct {
    PyObject *method;
    unsigned int type_version;
    uint64_t dict_version;
} Known;

/* The methods of one proxy's target. */
typedef struct {
    PyObject_VAR_HEAD
    Known known[1];
} Methods;

/* Stands in a proxy's class for an attribute of its target. */
typedef struct {
    PyObject_HEAD
    PyObject *name;
    Py_ssize_t index;
    Py_ssize_t count; /* of those in the class */
} Through;

static PyTypeObject methods_type, through_type;

/* The version of an object's attributes; 0 if it has none. A dictionary is made of them where there
   was none: wrapping an object has done that already. */
static uint64_t
dict_version(PyObject *target)
{
    PyObject **dict = Py_TYPE(target)->tp_dictoffset == 0 ? NULL : _PyObject_GetDictPtr(target);
    return dict == NULL || *dict == NULL ? 0 : ((PyDictObject *)*dict)->ma_version_tag;
}

/* Keep what was found if it is a plain method, as the type has it. */
static int
keep(Through *self, PyObject *proxy, PyObject *target, uint64_t version, PyObject *found)
{
    if (!PyMethod_Check(found) || PyMethod_GET_SELF(found) != target
        || !PyFunction_Check(PyMethod_GET_FUNCTION(found)))
    {
        return 0;
    }
    if (SLOT(proxy, methods_at) == NULL) {
        Methods *made = PyObject_GC_NewVar(Methods, &methods_type, self->count);
        if (made == NULL) {
            return -1;
        }
        memset(made->known, 0, sizeof(Known) * self->count);
        PyObject_GC_Track(made);
        Py_XSETREF(SLOT(proxy, methods_at), (PyObject *)made);
    }
    /* The look-up and the lines above may have run code, of the target's or of anybody whom the
       garbage collector ended, and that may have done anything. From here on nothing runs. */
    Methods *methods = (Methods *)SLOT(proxy, methods_at);
    PyTypeObject *type = Py_TYPE(target);
    if (SLOT(proxy, target_at) != target || dict_version(target) != version
        || !Py_IS_TYPE(methods, &methods_type) || self->index >= Py_SIZE(methods)
        || type->tp_getattro != PyObject_GenericGetAttr
        || _PyType_Lookup(type, self->name) != PyMethod_GET_FUNCTION(found)
        || !PyType_HasFeature(type, Py_TPFLAGS_VALID_VERSION_TAG))
    {
        return 0;
    }
    Known *known = &methods->known[self->index];
    known->type_version = type->tp_version_tag;
    known->dict_version = version;
    Py_XSETREF(known->method, Py_NewRef(found));
    return 0;
}

static PyObject *
through_get(PyObject *op, PyObject *proxy, PyObject *Py_UNUSED(owner))
{
    Through *self = (Through *)op;
    if (proxy == NULL || proxy == Py_None) {
        return Py_NewRef(op);
    }
    PyObject *target = SLOT(proxy, target_at);
    if (target == NULL) {
        PyErr_SetObject(PyExc_AttributeError, self->name);
        return NULL;
    }
    Methods *methods = (Methods *)SLOT(proxy, methods_at);
    if (methods != NULL && Py_IS_TYPE(methods, &methods_type)
        && self->index < Py_SIZE(methods))
    {
        const Known *known = &methods->known[self->index];
        PyTypeObject *type = Py_TYPE(target);
        if (known->method != NULL && known->type_version == type->tp_version_tag
            && PyType_HasFeature(type, Py_TPFLAGS_VALID_VERSION_TAG)
            && PyMethod_GET_SELF(known->method) == target
            && known->dict_version == dict_version(target))
        {
            return Py_NewRef(known->method);
        }
    }
    Py_INCREF(target);
    uint64_t version = dict_version(target);
    PyObject *found = PyObject_GetAttr(target, self->name);
    if (found != NULL && keep(self, proxy, target, version, found) < 0) {
        Py_CLEAR(found);
    }
    Py_DECREF(target);
    return found;
}

static PyObject *
proxy_getattro(PyObject *proxy, PyObject *name)
{
    PyObject *known = _PyType_Lookup(Py_TYPE(proxy), name);
    if (known != NULL && Py_IS_TYPE(known, &through_type)) {
        PyObject *held = Py_NewRef(known);
        PyObject *found = through_get(held, proxy, NULL);
        Py_DECREF(held);
        if (found != NULL || !PyErr_ExceptionMatches(PyExc_AttributeError)) {
            return found;
        }
    }
    else {
        PyObject *found = PyObject_GenericGetAttr(proxy, name);
        if (found != NULL || !PyErr_ExceptionMatches(PyExc_AttributeError)) {
            return found;
        }
    }
    PyObject *target = SLOT(proxy, target_at);
    if (target == NULL) {
        return NULL;
    }
    PyErr_Clear();
    Py_INCREF(target);
    PyObject *found = PyObject_GetAttr(target, name);
    Py_DECREF(target);
    return found;
}

static int
methods_traverse(PyObject *op, visitproc visit, void *arg)
{
    for (Py_ssize_t i = 0; i < Py_SIZE(op); i++) {
        Py_VISIT(((Methods *)op)->known[i].method);
    }
    return 0;
}

static int
methods_clear(PyObject *op)
{
    for (Py_ssize_t i = 0; i < Py_SIZE(op); i++) {
        Py_CLEAR(((Methods *)op)->known[i].method);
    }
    return 0;
}

static void
methods_dealloc(PyObject *op)
{
    PyObject_GC_UnTrack(op);
    methods_clear(op);
    PyObject_GC_Del(op);
}

static void
through_dealloc(PyObject *op)
{
    Py_DECREF(((Through *)op)->name);
    PyObject_Free(op);
}

static PyTypeObject methods_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "pussycache._speed.Methods",
    .tp_basicsize = offsetof(Methods, known),
    .tp_itemsize = sizeof(Known),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_dealloc = methods_dealloc,
    .tp_traverse = methods_traverse,
    .tp_clear = methods_clear,
};

static PyTypeObject through_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "pussycache._speed.Through",
    .tp_basicsize = sizeof(Through),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_dealloc = through_dealloc,
    .tp_descr_get = through_get,
};

PyObject *
pc_through(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *name;
    Py_ssize_t index, count;
    if (!PyArg_ParseTuple(args, "Unn:through", &name, &index, &count)) {
        return NULL;
    }
    if (index < 0 || index >= count) {
        PyErr_SetString(PyExc_ValueError, "index must be less than count");
        return NULL;
    }
    Through *self = PyObject_New(Through, &through_type);
    if (self != NULL) {
        self->name = Py_NewRef(name);
        PyUnicode_InternInPlace(&self->name);
        self->index = index;
        self->count = count;
    }
    return (PyObject *)self;
}

PyObject *
pc_quicken(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyTypeObject *type;
    PyObject *target, *methods;
    if (!PyArg_ParseTuple(args, "O!UU:quicken", &PyType_Type, &type, &target, &methods)) {
        return NULL;
    }
    Py_ssize_t at = pc_slot_offset(type, target);
    Py_ssize_t kept_at = at < 0 ? -1 : pc_slot_offset(type, methods);
    if (kept_at < 0) {
        return NULL;
    }
    if (target_at >= 0 && (target_at != at || methods_at != kept_at)) {
        PyErr_SetString(PyExc_TypeError, "the slots must be those of the first class's base");
        return NULL;
    }
    target_at = at;
    methods_at = kept_at;
    type->tp_getattro = proxy_getattro;
    PyType_Modified(type);
    Py_RETURN_NONE;
}

int
pc_ready_through(void)
{
    return PyType_Ready(&methods_type) < 0 || PyType_Ready(&through_type) < 0 ? -1 : 0;
}

#endif
