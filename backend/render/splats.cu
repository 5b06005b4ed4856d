// Alpha compositing of projected Gaussians on a card, forward and backward; `card.py` builds it at run time by NVRTC.
//
//     pixel = sum_i w_i f_i + T background,   w_i = a_i T_i,   T_{i+1} = T_i (1 - a_i),   a_i = opacity_i exp(-s_i),
//
// from front to back, f = (red, green, blue, depth), s = (p (dx + q dy)^2 + r dy^2) / 2 at the pixel's centre.  gsplat's
// rules: a is cut at 0.999, a < 1/255 is skipped, and a pixel is closed before T would fall to 1e-4.
//
// A block of 16 x 16 threads is a tile of the picture; the grid is (tiles across, tiles down, cameras).  Tile k has the
// Gaussians ids[offsets[k]] .. ids[offsets[k + 1] - 1], the nearest first.  Both passes walk from front to back: behind
// Gaussian i the backward pass needs but T and the rest R_i = sum_{j>i} w_j <f_j, g> + T <background, g>.
//
// tests/render/shim.cpp defines SHIM, and builds this file as C++ for a CPU.

#ifndef SHIM
// The sum over the 32 threads of a warp, which all see the same Gaussian: one atomic addition in place of 32.
__device__ inline float warp_sum(float x) {
    for (int o = 16; o; o >>= 1) x += __shfl_xor_sync(0xffffffffu, x, o);
    return x;
}
#define FIRST_OF_WARP ((threadIdx.x & 31) == 0)
#define ANY_OF_WARP(x) __any_sync(0xffffffffu, x)
#endif

#define TILE 16
#define MAX_ALPHA 0.999f
#define MIN_ALPHA (1.0f / 255.0f)
#define MIN_TRANSMITTANCE 1e-4f

extern "C" __global__ void composite(
    const float2* means, const float3* factors, const float* opacities, const float4* features, const int* ids,
    const int* offsets, const float4* backgrounds, int width, int height, float4* pixels, float* transmittances) {
    int tile = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
    int column = blockIdx.x * TILE + threadIdx.x % TILE, row = blockIdx.y * TILE + threadIdx.x / TILE;
    if (column >= width || row >= height) return;
    float x = column + 0.5f, y = row + 0.5f, t = 1.0f, red = 0, green = 0, blue = 0, depth = 0;
    for (int k = offsets[tile], last = offsets[tile + 1]; k < last; ++k) {
        int i = ids[k];
        float2 mean = means[i];
        float3 f = factors[i];
        float dy = mean.y - y, dx = mean.x - x + f.y * dy;
        float a = fminf(MAX_ALPHA, opacities[i] * expf(-0.5f * (f.x * dx * dx + f.z * dy * dy)));
        if (!(a >= MIN_ALPHA)) continue;
        float after = t * (1.0f - a);
        if (after <= MIN_TRANSMITTANCE) break;
        float w = a * t;
        float4 c = features[i];
        red += w * c.x;
        green += w * c.y;
        blue += w * c.z;
        depth += w * c.w;
        t = after;
    }
    int at = (blockIdx.z * height + row) * width + column;
    float4 behind = backgrounds[blockIdx.z];
    pixels[at] = make_float4(red + t * behind.x, green + t * behind.y, blue + t * behind.z, depth + t * behind.w);
    transmittances[at] = t;
}

extern "C" __global__ void composite_backward(
    const float2* means, const float3* factors, const float* opacities, const float4* features, const int* ids,
    const int* offsets, int width, int height, const float4* pixels, const float* transmittances,
    const float4* grad_pixels, const float* grad_transmittances, float* grad_means, float* grad_factors,
    float* grad_opacities, float* grad_features) {
    int tile = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
    int column = blockIdx.x * TILE + threadIdx.x % TILE, row = blockIdx.y * TILE + threadIdx.x / TILE;
    int open = column < width && row < height;  // threads outside of the picture stay, for the sums over warps
    float x = column + 0.5f, y = row + 0.5f, t = 1.0f, rest = 0;
    float4 g = make_float4(0, 0, 0, 0);
    if (open) {
        int at = (blockIdx.z * height + row) * width + column;
        float4 p = pixels[at];
        g = grad_pixels[at];
        rest = p.x * g.x + p.y * g.y + p.z * g.z + p.w * g.w + transmittances[at] * grad_transmittances[at];
    }
    for (int k = offsets[tile], last = offsets[tile + 1]; k < last && ANY_OF_WARP(open); ++k) {
        int i = ids[k];
        float2 mean = means[i];
        float3 f = factors[i];
        float opacity = opacities[i];
        float dy = mean.y - y, dx = mean.x - x + f.y * dy;
        float uncut = opacity * expf(-0.5f * (f.x * dx * dx + f.z * dy * dy));
        float a = fminf(MAX_ALPHA, uncut), after = t * (1.0f - a);
        int seen = open && a >= MIN_ALPHA;
        if (seen && after <= MIN_TRANSMITTANCE) open = seen = 0;
        if (!ANY_OF_WARP(seen)) continue;
        float w = 0, v = 0;  // v: the loss with respect to -s
        if (seen) {
            float4 c = features[i];
            float own = c.x * g.x + c.y * g.y + c.z * g.z + c.w * g.w;
            w = a * t;
            rest -= w * own;
            v = uncut <= MAX_ALPHA ? a * (rest / (1.0f - a) - t * own) : 0.0f;
            t = after;
        }
        float s = warp_sum(v), sx = warp_sum(v * dx), sy = warp_sum(v * dy);
        float sxx = warp_sum(v * dx * dx), sxy = warp_sum(v * dx * dy), syy = warp_sum(v * dy * dy);
        float red = warp_sum(w * g.x), green = warp_sum(w * g.y), blue = warp_sum(w * g.z), depth = warp_sum(w * g.w);
        if (FIRST_OF_WARP) {
            atomicAdd(grad_means + 2 * i, f.x * sx);
            atomicAdd(grad_means + 2 * i + 1, f.x * f.y * sx + f.z * sy);
            atomicAdd(grad_factors + 3 * i, 0.5f * sxx);
            atomicAdd(grad_factors + 3 * i + 1, f.x * sxy);
            atomicAdd(grad_factors + 3 * i + 2, 0.5f * syy);
            atomicAdd(grad_opacities + i, -s / opacity);
            atomicAdd(grad_features + 4 * i, red);
            atomicAdd(grad_features + 4 * i + 1, green);
            atomicAdd(grad_features + 4 * i + 2, blue);
            atomicAdd(grad_features + 4 * i + 3, depth);
        }
    }
}
