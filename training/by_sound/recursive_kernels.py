"""What waits for its own last frame, on the CPU (numba) and on a GPU (CUDA): the same numbers from both.

All else in `playing` and `drawing` is arithmetic on whole clips, which torch does anywhere. CUDA's side
is compiled by NVRTC at its first call; a thread plays a row, and a batch is a few hundred rows.
"""

import math
from functools import cache
from typing import Any

import numpy as np
import torch
from numba import prange

from ...dsp.compiler import jit
from ..other_effects import compressors, distortions

SOURCE = r"""
#define AHEAD 16  // frames read before they are needed, so that no frame waits for memory

extern "C" __global__ void smooth(
    const float* aim, const double* attack, const double* release, float* out, int frames, int rows)
{
    int row = blockIdx.x;
    if (row >= rows) return;
    const double a = attack[row], r = release[row];
    const float* u = aim + (long long)row * frames;
    float* y = out + (long long)row * frames;
    float next[AHEAD];
    double s = 0.0;
    for (int i = 0; i < AHEAD; i++) next[i] = i < frames ? u[i] : 0.0f;
    for (int first = 0; first < frames; first += AHEAD) {
        float now[AHEAD];
        for (int i = 0; i < AHEAD; i++) {
            now[i] = next[i];
            int n = first + AHEAD + i;
            next[i] = n < frames ? u[n] : 0.0f;
        }
        for (int i = 0; i < AHEAD; i++) {
            const double v = now[i];
            const double falls = a * s + (1.0 - a) * v, rises = r * s + (1.0 - r) * v;
            s = s > v ? falls : rises;
            if (first + i < frames) y[first + i] = (float)s;
        }
    }
}

extern "C" __global__ void smooth_back(
    const float* grad, const float* aim, const float* out, const double* attack, const double* release,
    float* d_aim, double* d_attack, double* d_release, int frames, int rows)
{
    int row = blockIdx.x;
    if (row >= rows) return;
    const double a = attack[row], r = release[row];
    const long long at = (long long)row * frames;
    const float *g = grad + at, *u = aim + at, *y = out + at;
    double w = 0.0, da = 0.0, dr = 0.0;
    for (int n = frames - 1; n >= 0; n--) {
        const double v = u[n], before = n > 0 ? y[n - 1] : 0.0;
        const bool falls = before > v;
        const double pole = falls ? a : r, d = w + g[n];
        w = pole * d;
        d_aim[at + n] = (float)((1.0 - pole) * d);
        const double moved = d * (before - v);
        if (falls) da += moved; else dr += moved;
    }
    d_attack[row] = da;
    d_release[row] = dr;
}

__device__ double still_gain(double level, int kind, double threshold, double slope, double knee, double reach)
{
    const double over = kind == 0 ? level - threshold : threshold - level;
    const double inside = fmin(fmax(over + 0.5 * knee, 0.0), knee);
    const double bent = inside * inside / (2.0 * knee) + fmax(over - 0.5 * knee, 0.0);
    return kind == 1 ? fmin(-slope * bent, reach) : fmax(slope * bent, -reach);
}

// law_compressors.gains, a row a thread; table is its arguments after x
extern "C" __global__ void gains(const float* sound, const double* table, float* out, int frames, int rows)
{
    const double DB = 8.685889638065037;
    int row = blockIdx.x;
    if (row >= rows) return;
    const float* x = sound + (long long)row * frames;
    float* y = out + (long long)row * frames;
    const double* t = table + row * 14;
    const int back = (int)t[0], smoothed = (int)t[3], kind = (int)t[4], hold = (int)t[11];
    const double rms = t[1], high_pass = t[2], threshold = t[5], slope = t[6], knee = t[7], reach = t[8];
    const double attack = t[9], release = t[10], slow = t[12], share = t[13];
    double before = 0.0, mean = 0.0, env = 0.0, low = 0.0, fast = 0.0, late = 0.0, tired = 0.0, level = -100.0;
    double linear = 1.0;
    int held = 0;
    for (int n = 0; n < frames; n++) {
        const double in = x[n];
        double v = back ? before : in;
        if (high_pass > 0.0) low += (1.0 - high_pass) * (v - low);
        v = high_pass > 0.0 ? fabs(v - low) : fabs(v);
        if (rms > 0.0) { mean += (1.0 - rms) * (v * v - mean); v = sqrt(mean); }
        if (smoothed == 0) {
            env = v + (v > env ? attack : release) * (env - v);
            level = DB * log(fmax(env, 1e-5));
        } else if (smoothed == 1) {
            env = v * v + (v * v > env ? attack : release) * (env - v * v);
            level = 0.5 * DB * log(fmax(env, 1e-10));
        } else {
            const double aim = DB * log(fmax(v, 1e-5));
            level = smoothed == 2 ? aim + (aim > level ? attack : release) * (level - aim) : aim;
        }
        double g = still_gain(level, kind, threshold, slope, knee, reach);
        if (smoothed == 3) {
            if (g < fast) { held = hold; fast = g + attack * (fast - g); }
            else if (held > 0) held--;
            else fast = g + release * (fast - g);
            g = fast;
        } else if (smoothed == 4) {
            const double aim = exp(g / DB);
            linear = aim + (aim < linear ? attack : release) * (linear - aim);
            g = DB * log(linear);
        } else if (smoothed == 5) {
            fast = fmin(g, release * fast + (1.0 - release) * g);
            late = fast + attack * (late - fast);
            g = late;
        }
        if (share > 0.0) { tired = g + slow * (tired - g); g = fmin(g, share * tired); }
        y[n] = (float)g;
        before = back ? in * exp(g / DB) : 0.0;
    }
}

__device__ double curve(double u, int kind, double shape)
{
    const double size = fabs(u), PI = 3.141592653589793;
    double bent;
    if (kind == 0) bent = fmin(size, 1.0);
    else if (kind == 1) bent = size < 1.5 ? size - size * size * size * (4.0 / 27.0) : 1.0;
    else if (kind == 2) bent = atan(size * (0.5 * PI)) * (2.0 / PI);
    else if (kind == 3) { const double p = 1.0 + 5.0 * shape; bent = size / pow(1.0 + pow(size, p), 1.0 / p); }
    else if (kind == 4) {
        const double top = u > 0.0 ? 1.0 : 0.25 + 0.75 * shape;
        bent = top * (1.0 - exp(-size / top));
    }
    else if (kind == 5) bent = u > 0.0 ? 1.0 - exp(-size) : size / (1.0 + 0.3 * shape * size);
    else if (kind == 6) bent = sin(0.5 * PI * fmin(size / 1.3, 1.0 + 0.6 * shape)) * (2.6 / PI);
    else if (kind == 7) {
        const double knee = 0.2 + 0.7 * shape;
        bent = size < knee ? size : knee + (1.0 - knee) * (1.0 - exp(-(size - knee) / (1.0 - knee)));
    } else if (kind == 8) {
        const double step = exp2(-(3.0 + 5.0 * shape));
        bent = floor(fmin(size, 1.0) / step + 0.5) * step;
    } else if (kind == 9) { const double v = fmax(size - 0.1 * shape, 0.0); bent = v / (1.0 + v); }
    else bent = tanh(size);
    return u >= 0.0 ? bent : -bent;
}

// law_clippers.bend; table is its arguments after u. Rows without memory go side by side: `memory` says which are meant
extern "C" __global__ void bend(
    const float* sound, const double* table, float* out, int frames, int rows, int memory)
{
    const int row = blockIdx.x;
    if (row >= rows) return;
    const float* u = sound + (long long)row * frames;
    float* y = out + (long long)row * frames;
    const double* t = table + row * 7;
    const int kind = (int)t[0];
    const double shape = t[1], drive = t[2], bias = t[3], follow = t[4], pole = t[5], hold = t[6];
    const double rest = curve(bias, kind, shape);
    const bool waits = follow > 0.0 || hold > 1.0;
    if (waits != (memory != 0)) return;
    if (!waits) {
        for (int n = blockIdx.y * blockDim.x + threadIdx.x; n < frames; n += gridDim.y * blockDim.x)
            y[n] = (float)(curve(drive * u[n] + bias, kind, shape) - rest);
        return;
    }
    if (threadIdx.x > 0 || blockIdx.y > 0) return;
    double env = 0.0, kept = 0.0, clock = 1.0;
    for (int n = 0; n < frames; n++) {
        double v = drive * u[n];
        if (follow > 0.0) { env = fabs(v) + pole * (env - fabs(v)); v -= follow * fmin(env, 4.0); }
        double bent = curve(v + bias, kind, shape) - rest;
        if (hold > 1.0) {
            clock += 1.0;
            if (clock >= hold) { clock -= hold; kept = bent; }
            bent = kept;
        }
        y[n] = (float)bent;
    }
}
"""


@cache
def _cuda(name: str) -> Any:
    """Compile one of the kernels."""
    return torch.cuda._compile_kernel(SOURCE, name)


def _ready(x: torch.Tensor) -> torch.Tensor:
    return x.detach().float().contiguous()


# --- a compressor's attack and release, with its gradient ---------------------------------------------


def smooth(aim: torch.Tensor, attack: torch.Tensor, release: torch.Tensor) -> torch.Tensor:
    """Follow a gain (rows, frames) with poles attack and release (rows,), as `effects.compressor` does.

    The pole is attack where the gain before was over the one aimed at, else release. Differentiable in
    all three; exact, as the choice of pole does not move.
    """
    return _Smooth.apply(aim, attack, release)  # pyright: ignore[reportReturnType]


class _Smooth(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, aim: torch.Tensor, attack: torch.Tensor, release: torch.Tensor) -> torch.Tensor:
        u, a, r = _ready(aim), attack.detach().double().contiguous(), release.detach().double().contiguous()
        out = torch.empty_like(u)
        if u.is_cuda:
            _cuda("smooth")((len(u), 1, 1), (1, 1, 1), [u, a, r, out, u.shape[1], len(u)])
        else:
            _smooth(u.numpy(), a.numpy(), r.numpy(), out.numpy())
        ctx.save_for_backward(u, a, r, out)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        u, a, r, out = ctx.saved_tensors
        g, d_aim, d_attack, d_release = _ready(grads[0]), torch.empty_like(u), torch.empty_like(a), torch.empty_like(r)
        tensors = [g, u, out, a, r, d_aim, d_attack, d_release]
        if u.is_cuda:
            _cuda("smooth_back")((len(u), 1, 1), (1, 1, 1), [*tensors, u.shape[1], len(u)])
        else:
            _smooth_back(*(t.numpy() for t in tensors))
        return d_aim, d_attack.to(grads[0]), d_release.to(grads[0])


@jit(parallel=True)
def _smooth(aim, attack, release, out):
    for row in prange(len(aim)):
        a, r, s = attack[row], release[row], 0.0
        for n in range(aim.shape[1]):
            v = float(aim[row, n])
            s = v + (a if s > v else r) * (s - v)
            out[row, n] = s


@jit(parallel=True)
def _smooth_back(grad, aim, out, attack, release, d_aim, d_attack, d_release):
    for row in prange(len(aim)):
        a, r = attack[row], release[row]
        w = da = dr = 0.0
        for n in range(aim.shape[1] - 1, -1, -1):
            v, before = float(aim[row, n]), float(out[row, n - 1]) if n > 0 else 0.0
            pole, d = a if before > v else r, w + grad[row, n]
            w = pole * d
            d_aim[row, n] = (1.0 - pole) * d
            if before > v:
                da += d * (before - v)
            else:
                dr += d * (before - v)
        d_attack[row], d_release[row] = da, dr


# --- laws, which only data need ------------------------------------------------------------------------


def gains(x: torch.Tensor, table: np.ndarray) -> torch.Tensor:
    """Give the gains in dB (rows, frames) that compressors of any law make of clips (rows, frames).

    table (rows, 14): each row's `law_compressors.arguments`.
    """
    x, out = _ready(x), torch.empty(x.shape, device=x.device)
    if x.is_cuda:
        told = torch.from_numpy(np.ascontiguousarray(table, np.float64)).to(x.device)
        _cuda("gains")((len(x), 1, 1), (1, 1, 1), [x, told, out, x.shape[1], len(x)])
    else:
        for row, told in enumerate(table):
            whole = [int(v) if i in (0, 3, 4, 11) else float(v) for i, v in enumerate(told)]
            out[row] = torch.from_numpy(compressors.gains(x[row].double().numpy(), *whole))
    return out


def bend(x: torch.Tensor, table: np.ndarray) -> torch.Tensor:
    """Put clips (rows, frames) through distortions' curves; table (rows, 7): each row's `law_clippers.arguments`."""
    x, out = _ready(x), torch.empty(x.shape, device=x.device)
    if x.is_cuda:
        told = torch.from_numpy(np.ascontiguousarray(table, np.float64)).to(x.device)
        for memory, grid, block in ((0, (len(x), 64, 1), (256, 1, 1)), (1, (len(x), 1, 1), (1, 1, 1))):
            _cuda("bend")(grid, block, [x, told, out, x.shape[1], len(x), memory])
    else:
        for row, (kind, *rest) in enumerate(table):
            out[row] = torch.from_numpy(distortions.bend(x[row].double().numpy(), int(kind), *map(float, rest)))
    return out


def pole_of(ms: torch.Tensor, rate: float) -> torch.Tensor:
    """Give the pole of a 63 % time in ms."""
    return torch.exp(-1e3 / (ms * rate))


DB = 20.0 / math.log(10.0)
