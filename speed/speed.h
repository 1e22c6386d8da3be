/* What the parts of the extension know of one another. */

#ifndef PUSSYCACHE_SPEED_H
#define PUSSYCACHE_SPEED_H

#include <Python.h>
#include <stdbool.h>
#include <structmember.h>

/* Whether attributes of a proxy are worth a look-up of their own: see through.c. */
#define PC_THROUGH (PY_VERSION_HEX < 0x030C0000)

enum { MOST_PARAMETERS = 32 };

/* What is known of the policy of cache/eviction.py, and where its objects keep what. */
typedef struct {
    PyTypeObject *type; /* NULL until there is one */
    PyTypeObject *sketch_type;
    PyTypeObject *queue_type;
    PyObject *admit; /* the function; methods of the queue's */
    PyObject *append;
    PyObject *popleft;
    Py_ssize_t soonest, keys, tables, bar, live, room, chores_in, sketch, evicted, last_evicted;
    Py_ssize_t counters, mask; /* in a sketch */
} Policy;

/* Names that are looked up again and again: one that is made each time takes a place of its own in
   the interpreter's cache of methods. */
enum { NAME_CHORES, NAME_EVICT, NAME_PLAINLY_OPEN, NAME_STAYS, NAME_UNINDEX, NAMES };

/* One for each interpreter. */
typedef struct {
    /* What engine/clock.py says. */
    int real;     /* time.monotonic is the clock, and caching is on */
    double floor; /* what an expiry must exceed where entries cannot expire by time */
    PyTypeObject *coroutine_type;
    PyTypeObject *watch_type;
    PyObject *hooks; /* the list of hooks.py: while there are any, misses are for Python */
    PyObject *stop; /* a StopIteration to raise again; NULL before the first */
    Policy policy;
    PyObject *names[NAMES];
} State;

/* What a function knows of its misses. */
typedef struct {
    PyObject *plan;
    PyObject *landed;
    PyObject *abandoned;
    PyObject *loading; /* the context variable */
    PyObject *name;    /* of the method */
    PyTypeObject *flight_type;
    PyTypeObject *failure_type;
    double lasting;
    Py_ssize_t target; /* in the owner */
    Py_ssize_t flights, fences, indexes, mixed, misses, loads, admit, acquire, release, home;
    Py_ssize_t hidden, serial, evictions;
    Py_ssize_t entry_key;
    Py_ssize_t load_time, load_times;
    Py_ssize_t token, begun, took; /* in a flight */
    Py_ssize_t error; /* in a failure */
} Miss;

typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    PyObject *dict;
    PyObject *weakrefs;
    PyObject *module; /* keeps the state's memory as long as this may read it */
    State *state;
    PyObject *fallback;
    /* Offsets are read from an object only after its type was compared with the one before it. */
    PyTypeObject *owner; /* NULL until the generated class exists */
    Py_ssize_t table;
    PyTypeObject *table_type;
    Py_ssize_t entries;
    PyTypeObject *entry_type;
    Py_ssize_t expires, hits, value;
    Py_ssize_t used; /* 0: nobody asks when an entry was last used */
    PyObject *names;
    PyObject *defaults; /* of the last parameters */
    int timed;
    int asynchronous;
    Miss *miss; /* NULL: misses are for the fallback */
    PyObject *spare_key; /* a tuple to fill, or NULL; nobody else has it */
    PyObject *spare_coroutine; /* memory of a coroutine that is over, or NULL */
    Py_ssize_t key_length; /* without the types */
    unsigned char key_positions[MOST_PARAMETERS];
    Py_ssize_t watch; /* read only where hits are watched: see watch.c */
} Hit;

#define SLOT(object, offset) (*(PyObject **)((char *)(object) + (offset)))

/* hit.c */

extern PyType_Spec pc_hit_spec;

/* Return the offset of a slot that holds an object, or -1 and an error. */
Py_ssize_t pc_slot_offset(PyTypeObject *type, PyObject *name);

Py_ssize_t pc_slot_named(PyTypeObject *type, const char *name);

/* What `time.monotonic` says; an error may be set. */
double pc_now(void);

/* Put the arguments in the order of the parameters, borrowed; false if they do not fit. */
bool pc_bind(
    const Hit *self, PyObject *const *args, Py_ssize_t given, PyObject *kwnames,
    PyObject **bound);

/* Whether hits can be told at all of this object's calls now. */
bool pc_serves(const Hit *self, PyObject *owner);

/* 1 and a new reference if the call was answered, 0 if it is for the fallback, -1 and an error if it
   must stop. The values are all of the parameters', in order, and the caller holds them. */
int pc_answer(Hit *self, PyObject *owner, PyObject *const *values, PyObject **result);

PyObject *pc_hit_vectorcall(
    PyObject *hit, PyObject *const *args, size_t nargsf, PyObject *kwnames);

/* miss.c */

/* 1 and a new reference if the call was answered, -1 and an error if it raised; 0 if it is for the
   fallback, and then nothing has been done. */
int pc_miss(
    const Hit *hit, PyObject *owner, PyObject *key, PyObject *const *values, PyObject **result);

/* Add one to a number that a slot holds; 0, or -1 and an error. */
int pc_count(PyObject *table, Py_ssize_t at);

PyObject *pc_bind_miss(PyObject *hit, PyObject *args, PyObject *kwargs);
int pc_traverse_miss(const Hit *hit, visitproc visit, void *arg);
void pc_free_miss(Hit *hit);

/* admit.c */

/* Have the policy take note of a new entry: 1 and what was thrown out, 0 if it is for the method
   `admit`, and then nothing has been done, or -1 and an error. */
int pc_admit(
    const Hit *hit, PyObject *admit, PyObject *table, PyObject *entry, PyObject **dropped);

PyObject *pc_use_policy(PyObject *module, PyObject *args);
int pc_traverse_policy(State *state, visitproc visit, void *arg);
void pc_forget_policy(State *state);

/* coroutine.c */

PyTypeObject *pc_coroutine_type(PyObject *module);

/* Return what is to be awaited: a call that is answered when it is, and not before. */
PyObject *pc_coroutine(Hit *hit, PyObject *const *args, Py_ssize_t given, PyObject *kwnames);

/* Free the memory that a function keeps for its next coroutine. */
void pc_free_spare_coroutine(Hit *hit);

/* watch.c */

extern PyType_Spec pc_watch_spec;

/* A hit of a table whose entries others can make wrong: a function of its own, and in a file of its
   own, so that the hits of all others do without the question. */
PyObject *pc_watched_vectorcall(
    PyObject *hit, PyObject *const *args, size_t nargsf, PyObject *kwnames);

/* through.c */

#if PC_THROUGH
PyObject *pc_through(PyObject *module, PyObject *args);
PyObject *pc_quicken(PyObject *module, PyObject *args);
int pc_ready_through(void);
#endif

#endif
