/* A compositional pattern-producing network (Stanley 2007), evaluated for every pixel of a picture.
 *
 * paint(weights, width, height): `weights` is a buffer of float32, laid out as
 *   first layer   HIDDEN x 4   (x, y, radius, bias)
 *   inner layers  LAYERS x HIDDEN x HIDDEN
 *   last layer    3 x HIDDEN   (red, green, blue)
 * Returns width * height * 3 bytes, row by row. Raises ValueError when the buffer is too short. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <math.h>

enum { HIDDEN = 16, LAYERS = 4, WEIGHTS = HIDDEN * 4 + LAYERS * HIDDEN * HIDDEN + 3 * HIDDEN, LANES = 32 };

/* Pade approximant of tanh, within 0.0001 for |x| < 2 and clamped where it would pass 1; no call, so it vectorises. */
static inline float squash(float x) {
    x = x < -4.97f ? -4.97f : x > 4.97f ? 4.97f : x;
    float s = x * x;
    return x * (135135.0f + s * (17325.0f + s * (378.0f + s))) / (135135.0f + s * (62370.0f + s * (3150.0f + s * 28.0f)));
}

/* LANES neighbouring pixels at once: x per lane, y for all of them. */
static void pixels(const float *w, const float *x, float y, float out[3][LANES]) {
    float now[HIDDEN][LANES], next[HIDDEN][LANES], radius[LANES];
    for (int lane = 0; lane < LANES; lane++)
        radius[lane] = sqrtf(x[lane] * x[lane] + y * y);
    for (int i = 0; i < HIDDEN; i++, w += 4)
        for (int lane = 0; lane < LANES; lane++)
            now[i][lane] = squash(w[0] * x[lane] + w[1] * y + w[2] * radius[lane] + w[3]);
    for (int layer = 0; layer < LAYERS; layer++) {
        for (int i = 0; i < HIDDEN; i++, w += HIDDEN) {
            float sum[LANES] = {0};
            for (int j = 0; j < HIDDEN; j++)
                for (int lane = 0; lane < LANES; lane++)
                    sum[lane] += w[j] * now[j][lane];
            for (int lane = 0; lane < LANES; lane++)
                next[i][lane] = squash(sum[lane]);
        }
        memcpy(now, next, sizeof now);
    }
    for (int channel = 0; channel < 3; channel++, w += HIDDEN) {
        float sum[LANES] = {0};
        for (int j = 0; j < HIDDEN; j++)
            for (int lane = 0; lane < LANES; lane++)
                sum[lane] += w[j] * now[j][lane];
        for (int lane = 0; lane < LANES; lane++)
            out[channel][lane] = 127.5f + 127.5f * squash(0.5f * sum[lane]);
    }
}

static void draw(const float *w, int width, int height, unsigned char *rgb) {
    float x[LANES], out[3][LANES];
    for (int row = 0; row < height; row++)
        for (int begin = 0; begin < width; begin += LANES) {
            int lanes = width - begin < LANES ? width - begin : LANES;
            for (int lane = 0; lane < LANES; lane++)
                x[lane] = 3.0f * (2.0f * (begin + lane) / width - 1.0f);
            pixels(w, x, 3.0f * (2.0f * row / height - 1.0f), out);
            for (int lane = 0; lane < lanes; lane++)
                for (int channel = 0; channel < 3; channel++)
                    *rgb++ = (unsigned char)out[channel][lane];
        }
}

static PyObject *paint(PyObject *self, PyObject *args) {
    Py_buffer weights;
    int width, height;
    if (!PyArg_ParseTuple(args, "y*ii", &weights, &width, &height))
        return NULL;
    if (weights.len < (Py_ssize_t)(WEIGHTS * sizeof(float)) || width < 1 || height < 1 || width > 8192 || height > 8192) {
        PyBuffer_Release(&weights);
        return PyErr_Format(PyExc_ValueError, "needs %d float32 weights and a size from 1 to 8192", WEIGHTS);
    }
    PyObject *picture = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)width * height * 3);
    if (picture != NULL) {
        Py_BEGIN_ALLOW_THREADS
        draw(weights.buf, width, height, (unsigned char *)PyBytes_AS_STRING(picture));
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&weights);
    return picture;
}

static PyMethodDef methods[] = {
    {"paint", paint, METH_VARARGS, "paint(weights, width, height) -> RGB bytes"},
    {NULL, NULL, 0, NULL},
};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "cppn", "Pictures from weights.", -1, methods};

PyMODINIT_FUNC PyInit_cppn(void) {
    PyObject *self = PyModule_Create(&module);
    if (self != NULL && PyModule_AddIntConstant(self, "WEIGHTS", WEIGHTS) < 0)
        Py_CLEAR(self);
    return self;
}
