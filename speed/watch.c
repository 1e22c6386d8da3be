/* Whether what is kept of a shared store may be served just now: nothing has arrived on the
   connections on which its servers say what changes, and they were heard lately.

   Asked before a hit, so it neither waits nor gives up the GIL. Who reads what has arrived, and
   empties what it makes wrong, is cache/shared/links.py, which has a twin of this for where there
   is no extension. */

#include "speed.h"

#if defined(__linux__)
#include <sys/epoll.h>
#include <unistd.h>
#elif !defined(MS_WINDOWS)
#include <poll.h>
#endif

typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    double until; /* by time.monotonic: from then on a server must have been heard again */
    int busy;     /* somebody has taken off a connection what is not known to all yet */
    Py_ssize_t count;
#if defined(__linux__)
    int epoll; /* -1: none */
#elif !defined(MS_WINDOWS)
    struct pollfd *fds;
#endif
} Watch;

static bool
is_quiet(PyObject *op)
{
    Watch *self = (Watch *)op;
    if (self->count == 0) {
        return false;
    }
#if defined(__linux__)
    /* A third of the cost of a poll. */
    struct epoll_event event;
    int ready = epoll_wait(self->epoll, &event, 1, 0);
#elif !defined(MS_WINDOWS)
    int ready = poll(self->fds, (nfds_t)self->count, 0);
#else
    int ready = 1;
#endif
    /* After that: what another thread has taken off a connection has been said. */
    return ready == 0 && !self->busy && pc_now() <= self->until;
}

PyObject *
pc_watched_vectorcall(PyObject *op, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    Hit *self = (Hit *)op;
    if (PyVectorcall_NARGS(nargsf) > 0 && self->owner != NULL
        && PyObject_TypeCheck(args[0], self->owner))
    {
        PyObject *table = SLOT(args[0], self->table);
        if (table != NULL && PyObject_TypeCheck(table, self->table_type)) {
            PyObject *watch = SLOT(table, self->watch);
            if (watch != NULL && Py_IS_TYPE(watch, self->state->watch_type)
                && is_quiet(watch))
            {
                return pc_hit_vectorcall(op, args, nargsf, kwnames);
            }
        }
    }
    if (self->fallback == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "called after it was cleared as garbage");
        return NULL;
    }
    return PyObject_Vectorcall(self->fallback, args, nargsf, kwnames);
}

static PyObject *
watch_call(PyObject *op, PyObject *const *Py_UNUSED(args), size_t nargsf, PyObject *kwnames)
{
    if (PyVectorcall_NARGS(nargsf) != 0 || kwnames != NULL) {
        PyErr_SetString(PyExc_TypeError, "takes no arguments");
        return NULL;
    }
    return PyBool_FromLong(is_quiet(op));
}

static void
let_go(Watch *self)
{
    self->count = 0;
#if defined(__linux__)
    if (self->epoll >= 0) {
        (void)close(self->epoll);
        self->epoll = -1;
    }
#elif !defined(MS_WINDOWS)
    PyMem_Free(self->fds);
    self->fds = NULL;
#endif
}

static PyObject *
watch_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwargs))
{
    Watch *self = (Watch *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->vectorcall = watch_call;
        self->until = -Py_HUGE_VAL;
#if defined(__linux__)
        self->epoll = -1;
#endif
    }
    return (PyObject *)self;
}

static void
watch_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    let_go((Watch *)op);
    type->tp_free(op);
    Py_DECREF(type);
}

static bool
add(Watch *self, Py_ssize_t i, int fd)
{
#if defined(__linux__)
    (void)i;
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP};
    if (epoll_ctl(self->epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
        PyErr_SetFromErrno(PyExc_OSError);
        return false;
    }
#elif !defined(MS_WINDOWS)
    self->fds[i] = (struct pollfd){.fd = fd, .events = POLLIN};
#else
    (void)self, (void)i, (void)fd;
#endif
    return true;
}

/* Look at these sockets, by their numbers, from now on. */
static PyObject *
watch_look_at(PyObject *op, PyObject *numbers)
{
    Watch *self = (Watch *)op;
    PyObject *fast = PySequence_Fast(numbers, "look_at takes numbers of sockets");
    if (fast == NULL) {
        return NULL;
    }
    Py_ssize_t count = PySequence_Fast_GET_SIZE(fast);
    let_go(self);
    bool good = true;
#if defined(__linux__)
    if (count > 0 && (self->epoll = epoll_create1(EPOLL_CLOEXEC)) < 0) {
        PyErr_SetFromErrno(PyExc_OSError);
        good = false;
    }
#elif !defined(MS_WINDOWS)
    if (count > 0 && (self->fds = PyMem_New(struct pollfd, count)) == NULL) {
        PyErr_NoMemory();
        good = false;
    }
#endif
    for (Py_ssize_t i = 0; good && i < count; i++) {
        long fd = PyLong_AsLong(PySequence_Fast_GET_ITEM(fast, i));
        good = !(fd == -1 && PyErr_Occurred()) && add(self, i, (int)fd);
    }
    Py_DECREF(fast);
    if (!good) {
        let_go(self);
        return NULL;
    }
    self->count = count;
    Py_RETURN_NONE;
}

static PyMethodDef watch_methods[] = {
    {"look_at", watch_look_at, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef watch_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Watch, vectorcall), READONLY, NULL},
    {"until", T_DOUBLE, offsetof(Watch, until), 0, NULL},
    {"busy", T_INT, offsetof(Watch, busy), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot watch_slots[] = {
    {Py_tp_new, watch_new},
    {Py_tp_dealloc, watch_dealloc},
    {Py_tp_call, PyVectorcall_Call},
    {Py_tp_methods, watch_methods},
    {Py_tp_members, watch_members},
    {0, NULL},
};

PyType_Spec pc_watch_spec = {
    .name = "pussycache._speed.Watch",
    .basicsize = sizeof(Watch),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = watch_slots,
};
