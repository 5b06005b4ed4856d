// splats.cu as C++: a card of one thread, so that CI runs the very source that a card does.
#include <cmath>
#define SHIM
#define __global__
struct float2 { float x, y; };
struct float3 { float x, y, z; };
struct float4 { float x, y, z, w; };
struct Index { int x, y, z; };
static float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
static thread_local Index blockIdx, threadIdx, gridDim;
static void atomicAdd(float* sum, float value) { *sum += value; }
static float warp_sum(float value) { return value; }
#define FIRST_OF_WARP 1
#define ANY_OF_WARP(x) (x)
#include "splats.cu"

#define EVERY_THREAD(call)                                           \
    gridDim = {across, down, cameras};                               \
    for (int z = 0; z < cameras; z++)                                \
        for (int y = 0; y < down; y++)                               \
            for (int x = 0; x < across; x++)                         \
                for (int thread = 0; thread < TILE * TILE; thread++) { \
                    blockIdx = {x, y, z};                            \
                    threadIdx = {thread, 0, 0};                      \
                    call;                                            \
                }

extern "C" void run_composite(
    int across, int down, int cameras, const float2* a, const float3* b, const float* c, const float4* d, const int* e,
    const int* f, const float4* g, int width, int height, float4* h, float* i) {
    EVERY_THREAD(composite(a, b, c, d, e, f, g, width, height, h, i))
}

extern "C" void run_composite_backward(
    int across, int down, int cameras, const float2* a, const float3* b, const float* c, const float4* d, const int* e,
    const int* f, int width, int height, const float4* g, const float* h, const float4* i, const float* j, float* k,
    float* l, float* m, float* n) {
    EVERY_THREAD(composite_backward(a, b, c, d, e, f, width, height, g, h, i, j, k, l, m, n))
}
