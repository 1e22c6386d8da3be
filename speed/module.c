/* The module: its types, and what it is told by engine/clock.py, engine/speed.py and
   cache/eviction.py. */

#include "speed.h"

static PyObject *
use_clock(PyObject *module, PyObject *args)
{
    int real;
    double floor;
    if (!PyArg_ParseTuple(args, "pd:use_clock", &real, &floor)) {
        return NULL;
    }
    State *state = PyModule_GetState(module);
    state->real = real;
    state->floor = floor;
    Py_RETURN_NONE;
}

static PyObject *
use_hooks(PyObject *module, PyObject *hooks)
{
    if (!PyList_CheckExact(hooks)) {
        PyErr_SetString(PyExc_TypeError, "hooks are a list");
        return NULL;
    }
    State *state = PyModule_GetState(module);
    Py_XSETREF(state->hooks, Py_NewRef(hooks));
    Py_RETURN_NONE;
}

static PyObject *
offset(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyTypeObject *type;
    PyObject *name;
    if (!PyArg_ParseTuple(args, "O!U:offset", &PyType_Type, &type, &name)) {
        return NULL;
    }
    Py_ssize_t at = pc_slot_offset(type, name);
    return at < 0 ? NULL : PyLong_FromSsize_t(at);
}

static PyMethodDef module_methods[] = {
    {"use_clock", use_clock, METH_VARARGS, NULL},
    {"use_hooks", use_hooks, METH_O, NULL},
    {"use_policy", pc_use_policy, METH_VARARGS, NULL},
    {"offset", offset, METH_VARARGS, NULL},
#if PC_THROUGH
    {"through", pc_through, METH_VARARGS, NULL},
    {"quicken", pc_quicken, METH_VARARGS, NULL},
#endif
    {NULL, NULL, 0, NULL},
};

static int
module_exec(PyObject *module)
{
    State *state = PyModule_GetState(module);
    static const char *const names[NAMES] = {
        "_chores", "_evict", "plainly_open", "_stays", "unindex"};
    for (int i = 0; i < NAMES; i++) {
        state->names[i] = PyUnicode_InternFromString(names[i]);
        if (state->names[i] == NULL) {
            return -1;
        }
    }
    /* As in `hot` of engine/clock.py. */
    state->real = 1;
    state->floor = 0.0;
#if PC_THROUGH
    if (pc_ready_through() < 0) {
        return -1;
    }
#endif
    state->coroutine_type = pc_coroutine_type(module);
    if (state->coroutine_type == NULL
        || PyModule_AddObjectRef(module, "Coroutine", (PyObject *)state->coroutine_type) < 0)
    {
        return -1;
    }
    state->watch_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &pc_watch_spec, NULL);
    if (state->watch_type == NULL
        || PyModule_AddObjectRef(module, "Watch", (PyObject *)state->watch_type) < 0)
    {
        return -1;
    }
    PyObject *type = PyType_FromModuleAndSpec(module, &pc_hit_spec, NULL);
    int added = type == NULL ? -1 : PyModule_AddObjectRef(module, "Hit", type);
    Py_XDECREF(type);
    return added;
}

static int
module_traverse(PyObject *module, visitproc visit, void *arg)
{
    State *state = PyModule_GetState(module);
    Py_VISIT(state->coroutine_type);
    Py_VISIT(state->watch_type);
    Py_VISIT(state->stop);
    Py_VISIT(state->hooks);
    return pc_traverse_policy(state, visit, arg);
}

static void
module_free(void *module)
{
    State *state = PyModule_GetState((PyObject *)module);
    Py_CLEAR(state->coroutine_type);
    Py_CLEAR(state->watch_type);
    Py_CLEAR(state->stop);
    Py_CLEAR(state->hooks);
    pc_forget_policy(state);
    for (int i = 0; i < NAMES; i++) {
        Py_CLEAR(state->names[i]);
    }
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_exec},
#if PY_VERSION_HEX >= 0x030C0000
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
    {0, NULL},
};

static struct PyModuleDef module_def = {
    PyModuleDef_HEAD_INIT,
    .m_name = "pussycache._speed",
    .m_doc = "Answers the hits of cached methods, as the generated functions do, in C.",
    .m_size = sizeof(State),
    .m_methods = module_methods,
    .m_slots = module_slots,
    .m_traverse = module_traverse,
    .m_free = module_free,
};

PyMODINIT_FUNC
PyInit__speed(void)
{
    return PyModuleDef_Init(&module_def);
}
