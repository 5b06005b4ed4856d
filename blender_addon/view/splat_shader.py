"""The shader of the live view: each splat a quad that faces the viewer, sized by its projected covariance (EWA).

One texture has the numbers of the splats, four texels each, and a second one their order from back to front.  So one
draw call without vertex data shows all of them, on OpenGL, Vulkan and Metal, from Blender 4.2 on.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

WIDTH = 4096  # of the textures, in texels
TEXELS = 4  # a splat: mean and opacity, quaternion, scale, colour

VERTEX = """
vec4 fetch(int i) { return texelFetch(splats, ivec2(i % 4096, i / 4096), 0); }

vec3 unturn(vec4 q, vec3 v) { return v - 2.0 * cross(q.yzw, q.x * v - cross(q.yzw, v)); }

vec3 linear(vec3 srgb) {
  return mix(srgb / 12.92, pow((srgb + 0.055) / 1.055, vec3(2.4)), step(vec3(0.04045), srgb));
}

void main() {
  int nth = gl_InstanceID;
  int i = 4 * int(texelFetch(order, ivec2(nth % 4096, nth / 4096), 0).r);
  vec4 mean = fetch(i), turn = fetch(i + 1), scale = fetch(i + 2), srgb = fetch(i + 3);
  vec4 seen = view * vec4(mean.xyz, 1.0);
  vec2 pixels = window.size.xy;
  float perspective = 1.0 - projection[3][3];
  float depth = -seen.z;
  float nearer = perspective > 0.5 ? 1.0 / max(depth, 1e-4) : 1.0;
  vec2 focal = vec2(projection[0][0], projection[1][1]) * pixels * 0.5 * nearer;
  vec3 across = vec3(focal.x, 0.0, perspective * focal.x * seen.x * nearer);
  vec3 up = vec3(0.0, focal.y, perspective * focal.y * seen.y * nearer);
  // The covariance is M M^T with M = view * turn * scale: its entries are products of M^T across and M^T up.
  across = scale.xyz * unturn(turn, across * mat3(view));
  up = scale.xyz * unturn(turn, up * mat3(view));
  float a = dot(across, across) + 0.3;  // 0.3 square pixels: the smoothing of 3DGS
  float b = dot(across, up);
  float c = dot(up, up) + 0.3;
  float middle = 0.5 * (a + c);
  float radius = sqrt(max(0.25 * (a - c) * (a - c) + b * b, 1e-9));
  float large = middle + radius;
  float small = max(middle - radius, 0.1);
  vec2 axis = abs(b) > 1e-6 ? normalize(vec2(large - c, b)) : (a >= c ? vec2(1.0, 0.0) : vec2(0.0, 1.0));
  vec2 offset = 3.0 * (axis * sqrt(large) * corner.x + vec2(-axis.y, axis.x) * sqrt(small) * corner.y);
  sigmas = corner * 3.0;
  colour = vec4(linear(srgb.xyz), mean.w);
  gl_Position = projection * seen;
  gl_Position.xy += offset * 2.0 / pixels * gl_Position.w;
  if (perspective > 0.5 && depth < 0.02) {
    gl_Position = vec4(2.0, 2.0, 2.0, 1.0);
  }
}
"""

FRAGMENT = """
void main() {
  float alpha = min(0.99, colour.a * exp(-0.5 * dot(sigmas, sigmas)));
  if (dot(sigmas, sigmas) > 9.0 || alpha < 0.004) {
    discard;
  }
  fragColor = vec4(colour.rgb, alpha);
}
"""


@lru_cache(maxsize=1)
def compiled() -> tuple[Any, Any]:
    """The shader and the quad it draws for each splat; made at the first draw, when Blender has a GPU context."""
    import gpu
    from gpu_extras.batch import batch_for_shader

    between = gpu.types.GPUStageInterfaceInfo("splatsmith_between")
    between.smooth("VEC2", "sigmas")
    between.flat("VEC4", "colour")
    info = gpu.types.GPUShaderCreateInfo()
    info.push_constant("MAT4", "view")
    info.push_constant("MAT4", "projection")
    info.typedef_source("struct Window { vec4 size; };")
    info.uniform_buf(0, "Window", "window")  # the two matrices use up the space for push constants
    info.sampler(0, "FLOAT_2D", "splats")
    info.sampler(1, "FLOAT_2D", "order")
    info.vertex_in(0, "VEC2", "corner")
    info.vertex_out(between)
    info.fragment_out(0, "VEC4", "fragColor")
    info.vertex_source(VERTEX)
    info.fragment_source(FRAGMENT)
    shader = gpu.shader.create_from_info(info)
    corners = [(-1, -1), (1, -1), (1, 1), (-1, 1)]
    return shader, batch_for_shader(shader, "TRIS", {"corner": corners}, indices=[(0, 1, 2), (0, 2, 3)])
