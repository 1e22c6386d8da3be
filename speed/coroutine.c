/* What a call of a cached coroutine method returns: a coroutine that looks when it is awaited.

   Where that finds a hit, no Python code runs. Everything else is done by the coroutine of the
   generated function, which is made at the first need and from then on stands behind this one: also
   whoever looks at frames, closes or throws is answered by it. So there is one place that knows what
   a coroutine has to say, and it is the interpreter. */

#include "speed.h"

typedef enum { CREATED, LOOKING, HANDED_ON, OVER } Stage;

typedef struct {
    PyObject_VAR_HEAD
    Hit *hit;
    PyObject *inner; /* NULL until it is needed */
    PyObject *weakrefs;
    Stage stage;
    PyObject *args[1]; /* the object, and the values of all parameters */
} Coroutine;

PyObject *
pc_coroutine(Hit *hit, PyObject *const *args, Py_ssize_t given, PyObject *kwnames)
{
    Py_ssize_t count = hit->names == NULL ? 0 : PyTuple_GET_SIZE(hit->names);
    PyObject *bound[MOST_PARAMETERS];
    PyObject *const *values = args + 1;
    /* Where the interpreter notes who made a coroutine, as in asyncio's debug mode, it is to make
       this one. */
    bool fits = given >= 0 && given <= count && hit->owner != NULL
                && PyObject_TypeCheck(args[0], hit->owner)
                && PyThreadState_Get()->coroutine_origin_tracking_depth == 0;
    if (fits && (given != count || kwnames != NULL)) {
        fits = pc_bind(hit, values, given, kwnames, bound);
        values = bound;
    }
    if (!fits) {
        /* If it has no such parameters, it says so now. */
        if (hit->fallback == NULL) {
            PyErr_SetString(PyExc_RuntimeError, "called after it was cleared as garbage");
            return NULL;
        }
        return PyObject_Vectorcall(hit->fallback, args, given + 1, kwnames);
    }
    Coroutine *self = (Coroutine *)hit->spare_coroutine;
    if (self != NULL) {
        hit->spare_coroutine = NULL;
        _Py_NewReference((PyObject *)self);
    }
    else {
        self = PyObject_GC_NewVar(Coroutine, hit->state->coroutine_type, count + 1);
        if (self == NULL) {
            return NULL;
        }
    }
    self->hit = (Hit *)Py_NewRef((PyObject *)hit);
    self->inner = NULL;
    self->weakrefs = NULL;
    self->stage = CREATED;
    self->args[0] = Py_NewRef(args[0]);
    for (Py_ssize_t i = 0; i < count; i++) {
        self->args[i + 1] = Py_NewRef(values[i]);
    }
    PyObject_GC_Track(self);
    return (PyObject *)self;
}

void
pc_free_spare_coroutine(Hit *hit)
{
    PyObject *spare = hit->spare_coroutine;
    if (spare != NULL) {
        PyTypeObject *type = Py_TYPE(spare);
        hit->spare_coroutine = NULL;
        PyObject_GC_Del(spare);
        Py_DECREF(type);
    }
}

/* Return the coroutine of the generated function, borrowed. */
static PyObject *
inner_of(Coroutine *self)
{
    if (self->inner == NULL) {
        if (self->hit->fallback == NULL || self->args[0] == NULL) {
            PyErr_SetString(PyExc_RuntimeError, "used after it was cleared as garbage");
            return NULL;
        }
        PyObject *inner
            = PyObject_Vectorcall(self->hit->fallback, self->args, Py_SIZE(self), NULL);
        if (inner == NULL) {
            return NULL;
        }
        if (self->stage == OVER) {
            PyObject *closed = PyObject_CallMethod(inner, "close", NULL);
            if (closed == NULL) {
                Py_DECREF(inner);
                return NULL;
            }
            Py_DECREF(closed);
        }
        Py_XSETREF(self->inner, inner);
    }
    if (self->stage == CREATED) {
        self->stage = HANDED_ON;
    }
    return self->inner;
}

static PySendResult
coroutine_send(PyObject *op, PyObject *sent, PyObject **result)
{
    Coroutine *self = (Coroutine *)op;
    *result = NULL;
    if (self->stage == CREATED && sent == Py_None && pc_serves(self->hit, self->args[0])) {
        self->stage = LOOKING;
        int found = pc_answer(self->hit, self->args[0], self->args + 1, result);
        if (found != 0) {
            self->stage = OVER;
            return found > 0 ? PYGEN_RETURN : PYGEN_ERROR;
        }
        self->stage = CREATED;
    }
    if (self->stage == LOOKING) {
        PyErr_SetString(PyExc_ValueError, "coroutine already executing");
        return PYGEN_ERROR;
    }
    if (self->stage == OVER && self->inner == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "cannot reuse already awaited coroutine");
        return PYGEN_ERROR;
    }
    PyObject *inner = inner_of(self);
    if (inner == NULL) {
        return PYGEN_ERROR;
    }
    /* What is sent may drop the last reference to this. */
    Py_INCREF(op);
    PySendResult sending = PyIter_Send(inner, sent, result);
    Py_DECREF(op);
    return sending;
}

/* Raise StopIteration. To make one costs as much as the rest of a hit, so one is kept, without a
   value; whoever still has it, or has left something on it, has it to himself. */
static void
stop_with(Coroutine *self, PyObject *value)
{
#if PY_VERSION_HEX >= 0x030C0000
    PyStopIterationObject *stop = (PyStopIterationObject *)self->hit->state->stop;
    if (stop == NULL || Py_REFCNT(stop) != 1 || stop->traceback != NULL || stop->context != NULL
        || stop->cause != NULL || stop->notes != NULL || stop->dict != NULL)
    {
        stop = (PyStopIterationObject *)PyObject_CallNoArgs(PyExc_StopIteration);
        if (stop == NULL) {
            return;
        }
        Py_XSETREF(self->hit->state->stop, (PyObject *)stop);
    }
    Py_XSETREF(stop->value, Py_NewRef(value));
    PyErr_SetRaisedException(Py_NewRef((PyObject *)stop));
#else
    (void)self;
    /* Not with the bare value: an exception or a tuple would be taken for arguments. */
    PyObject *stop = PyObject_CallOneArg(PyExc_StopIteration, value);
    if (stop != NULL) {
        PyErr_SetObject(PyExc_StopIteration, stop);
        Py_DECREF(stop);
    }
#endif
}

static PyObject *
coroutine_next(PyObject *op)
{
    PyObject *result;
    PySendResult sending = coroutine_send(op, Py_None, &result);
    if (sending == PYGEN_RETURN) {
        if (result != Py_None) {
            stop_with((Coroutine *)op, result);
        }
        Py_DECREF(result);
        return NULL;
    }
    return result;
}

static PyObject *
coroutine_await(PyObject *op)
{
    Coroutine *self = (Coroutine *)op;
    if (self->stage == HANDED_ON) {
        PyObject *awaited = PyObject_GetAttrString(self->inner, "cr_suspended");
        int suspended = awaited == NULL ? -1 : PyObject_IsTrue(awaited);
        Py_XDECREF(awaited);
        if (suspended != 0) {
            if (suspended > 0) {
                PyErr_SetString(PyExc_RuntimeError, "coroutine is being awaited already");
            }
            return NULL;
        }
    }
    return Py_NewRef(op);
}

/* What `__await__` returns to whoever calls it by its name may be iterated over, and a coroutine may
   not. So it is the interpreter's own. */
static PyObject *
coroutine_await_method(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    PyObject *inner = inner_of((Coroutine *)op);
    return inner == NULL ? NULL : PyObject_CallMethod(inner, "__await__", NULL);
}

/* `yield from` in a generator that is a coroutine by way of `types.coroutine`. */
static PyObject *
coroutine_iter(PyObject *op)
{
    PyFrameObject *frame = PyEval_GetFrame();
    if (frame != NULL) {
        PyCodeObject *code = PyFrame_GetCode(frame);
        int flags = code->co_flags;
        Py_DECREF(code);
        if (flags & CO_ITERABLE_COROUTINE) {
            return Py_NewRef(op);
        }
    }
    PyErr_SetString(PyExc_TypeError, "'coroutine' object is not iterable");
    return NULL;
}

static PyObject *
coroutine_send_method(PyObject *op, PyObject *sent)
{
    PyObject *result;
    if (coroutine_send(op, sent, &result) == PYGEN_RETURN) {
        PyObject *stop = PyObject_CallOneArg(PyExc_StopIteration, result);
        Py_DECREF(result);
        if (stop != NULL) {
            PyErr_SetObject(PyExc_StopIteration, stop);
            Py_DECREF(stop);
        }
        return NULL;
    }
    return result;
}

static PyObject *
coroutine_throw(PyObject *op, PyObject *args)
{
    PyObject *inner = inner_of((Coroutine *)op);
    PyObject *throw = inner == NULL ? NULL : PyObject_GetAttrString(inner, "throw");
    if (throw == NULL) {
        return NULL;
    }
    PyObject *result = PyObject_Call(throw, args, NULL);
    Py_DECREF(throw);
    return result;
}

static PyObject *
coroutine_close(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    Coroutine *self = (Coroutine *)op;
    if (self->stage == CREATED) {
        self->stage = OVER;
    }
    return self->inner == NULL ? Py_NewRef(Py_None)
                               : PyObject_CallMethod(self->inner, "close", NULL);
}

/* What only a coroutine of the interpreter has, such as its frame. */
static PyObject *
coroutine_getattro(PyObject *op, PyObject *name)
{
    PyObject *found = PyObject_GenericGetAttr(op, name);
    if (found != NULL || !PyErr_ExceptionMatches(PyExc_AttributeError)) {
        return found;
    }
    PyErr_Clear();
    PyObject *inner = inner_of((Coroutine *)op);
    return inner == NULL ? NULL : PyObject_GetAttr(inner, name);
}

static int
coroutine_set_name(PyObject *op, PyObject *value, void *name)
{
    PyObject *inner = inner_of((Coroutine *)op);
    return inner == NULL ? -1 : PyObject_SetAttrString(inner, name, value);
}

static PyObject *
coroutine_get_name(PyObject *op, void *name)
{
    PyObject *inner = inner_of((Coroutine *)op);
    return inner == NULL ? NULL : PyObject_GetAttrString(inner, name);
}

static PyObject *
coroutine_repr(PyObject *op)
{
    PyObject *name = coroutine_get_name(op, "__qualname__");
    if (name == NULL) {
        return NULL;
    }
    PyObject *text = PyUnicode_FromFormat("<coroutine object %S at %p>", name, op);
    Py_DECREF(name);
    return text;
}

/* Whoever asks for the class wants to know whether this is a coroutine. */
static PyObject *
coroutine_class(PyObject *Py_UNUSED(op), void *Py_UNUSED(ignored))
{
    return Py_NewRef((PyObject *)&PyCoro_Type);
}

/* One that was never awaited: the interpreter warns of its own. */
static void
coroutine_finalize(PyObject *op)
{
    Coroutine *self = (Coroutine *)op;
    if (self->stage != CREATED) {
        return;
    }
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyObject *inner = inner_of(self);
    self->stage = OVER;
    self->inner = NULL;
    if (inner == NULL) {
        PyErr_WriteUnraisable(op);
    }
    Py_XDECREF(inner);
    PyErr_Restore(type, value, traceback);
}

static int
coroutine_traverse(PyObject *op, visitproc visit, void *arg)
{
    Coroutine *self = (Coroutine *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->hit);
    Py_VISIT(self->inner);
    for (Py_ssize_t i = 0; i < Py_SIZE(self); i++) {
        Py_VISIT(self->args[i]);
    }
    return 0;
}

static int
coroutine_clear(PyObject *op)
{
    /* Not the function: all that this is stands on it. A cycle is broken by the others. */
    Coroutine *self = (Coroutine *)op;
    Py_CLEAR(self->inner);
    for (Py_ssize_t i = 0; i < Py_SIZE(self); i++) {
        Py_CLEAR(self->args[i]);
    }
    return 0;
}

static void
coroutine_dealloc(PyObject *op)
{
    Coroutine *self = (Coroutine *)op;
    if (self->stage == CREATED && PyObject_CallFinalizerFromDealloc(op) < 0) {
        return;
    }
    PyObject_GC_UnTrack(op);
    if (self->weakrefs != NULL) {
        PyObject_ClearWeakRefs(op);
    }
    Hit *hit = self->hit;
#if PY_VERSION_HEX >= 0x030C0000
    /* A function that was cleared as garbage keeps no module, and so no state, either. */
    PyStopIterationObject *stop
        = hit->module == NULL ? NULL : (PyStopIterationObject *)hit->state->stop;
    if (stop != NULL && Py_REFCNT(stop) == 1) {
        Py_CLEAR(stop->value);
    }
#endif
    coroutine_clear(op);
    /* An object is finalized once: that would be remembered of its memory. */
    if (hit->spare_coroutine == NULL && hit->names != NULL && !PyObject_GC_IsFinalized(op)) {
        hit->spare_coroutine = op;
    }
    else {
        PyTypeObject *type = Py_TYPE(op);
        PyObject_GC_Del(op);
        Py_DECREF(type);
    }
    Py_DECREF((PyObject *)hit);
}

static PyMethodDef coroutine_methods[] = {
    {"__await__", coroutine_await_method, METH_NOARGS | METH_COEXIST, NULL},
    {"send", coroutine_send_method, METH_O, NULL},
    {"throw", coroutine_throw, METH_VARARGS, NULL},
    {"close", coroutine_close, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef coroutine_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(Coroutine, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef coroutine_getset[] = {
    {"__class__", coroutine_class, NULL, NULL, NULL},
    {"__name__", coroutine_get_name, coroutine_set_name, NULL, "__name__"},
    {"__qualname__", coroutine_get_name, coroutine_set_name, NULL, "__qualname__"},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot coroutine_slots[] = {
    {Py_tp_dealloc, coroutine_dealloc},
    {Py_tp_finalize, coroutine_finalize},
    {Py_tp_traverse, coroutine_traverse},
    {Py_tp_clear, coroutine_clear},
    {Py_tp_repr, coroutine_repr},
    {Py_tp_getattro, coroutine_getattro},
    {Py_am_await, coroutine_await},
    {Py_am_send, coroutine_send},
    {Py_tp_methods, coroutine_methods},
    {Py_tp_members, coroutine_members},
    {Py_tp_getset, coroutine_getset},
    {0, NULL},
};

static PyType_Spec coroutine_spec = {
    .name = "pussycache._speed.Coroutine",
    .basicsize = offsetof(Coroutine, args),
    .itemsize = sizeof(PyObject *),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE
             | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = coroutine_slots,
};

PyTypeObject *
pc_coroutine_type(PyObject *module)
{
    PyTypeObject *type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &coroutine_spec, NULL);
    if (type != NULL) {
        /* Only now: `await` needs these, and a coroutine has neither `__next__` nor `__iter__`. */
        type->tp_iternext = coroutine_next;
        type->tp_iter = coroutine_iter;
    }
    return type;
}
