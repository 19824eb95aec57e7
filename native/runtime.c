/* What the compiled code names of numba's runtime and of Python.
 *
 * It is named on paths that handle exceptions and array owners, of which the kernels have neither: they
 * are proved by tests never to be reached, and would end the process. One thing is reached: to see a
 * contiguous piece of memory in another shape. */
#include <stdint.h>
#include <stdlib.h>

#define NEVER(name) void name(void) { abort(); }

NEVER(NRT_Free)
NEVER(NRT_MemInfo_call_dtor)
NEVER(PyBytes_FromStringAndSize)
NEVER(PyErr_Clear)
NEVER(PyErr_SetNone)
NEVER(PyErr_SetString)
NEVER(PyErr_WriteUnraisable)
NEVER(PyUnicode_FromString)
NEVER(Py_DecRef)
NEVER(numba_do_raise)
NEVER(numba_gil_ensure)
NEVER(numba_gil_release)
NEVER(numba_runtime_build_excinfo_struct)
NEVER(numba_unpickle)
void *PyExc_RuntimeError, *PyExc_StopIteration, *PyExc_SystemError;

/* numba's own signature; here every array is contiguous. Returns 0 for any that is not, as numba's does. */
int numba_attempt_nocopy_reshape(int64_t nd, const int64_t *dims, const int64_t *strides, int64_t newnd,
                                 const int64_t *newdims, int64_t *newstrides, int64_t itemsize, int is_f_order) {
    int64_t size = itemsize, empty = 0;
    for (int64_t i = 0; i < nd; i++)
        empty |= dims[i] == 0;
    for (int64_t i = nd - 1; i >= 0 && !empty; i--) {
        if (is_f_order || (dims[i] != 1 && strides[i] != size))
            return 0;
        size *= dims[i];
    }
    size = itemsize;
    for (int64_t i = newnd - 1; i >= 0; i--) {
        newstrides[i] = size;
        size *= newdims[i];
    }
    return 1;
}
