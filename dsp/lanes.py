"""What simd.py names: the compiled type of lanes, and how the compiler makes their instructions."""

import operator
from typing import Any

from llvmlite import ir
from numba import extending, types
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import lower_builtin, models, register_model

VECTOR = types.float64[::1]
intrinsic: Any = extending.intrinsic  # by its own type it takes the typing context, which nobody passes


class Lanes(types.Type):
    """The compiled type of so many float64 side by side."""

    def __init__(self, count: int) -> None:
        self.count = count
        super().__init__(f"Lanes({count})")


PAIR, QUAD, OCT = Lanes(2), Lanes(4), Lanes(8)
models_register: Any = register_model(Lanes)


@models_register
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, lanes: Any) -> None:
        super().__init__(manager, lanes, ir.VectorType(ir.DoubleType(), lanes.count))


def _vector(count: int) -> ir.VectorType:
    return ir.VectorType(ir.DoubleType(), count)


def _order(places: tuple[int, ...]) -> ir.Constant:
    return ir.Constant(ir.VectorType(ir.IntType(32), len(places)), list(places))


def _side_by_side(lanes: Lanes) -> Any:
    def codegen(context, builder, sig, args):
        vector = ir.Constant(_vector(lanes.count), ir.Undefined)
        for i, value in enumerate(args):
            vector = builder.insert_element(vector, value, ir.Constant(ir.IntType(32), i))
        return vector

    return lanes(*[types.float64] * lanes.count), codegen


@intrinsic
def f64x2(typingctx, a, b):
    """Put two numbers side by side."""
    return _side_by_side(PAIR)


@intrinsic
def f64x4(typingctx, a, b, c, d):
    """Put four numbers side by side."""
    return _side_by_side(QUAD)


@intrinsic
def f64x8(typingctx, a, b, c, d, e, f, g, h):
    """Put eight numbers side by side."""
    return _side_by_side(OCT)


@intrinsic
def unpack(typingctx, lanes):
    """Take lanes apart into a tuple of numbers."""

    def codegen(context, builder, sig, args):
        parts = [builder.extract_element(args[0], ir.Constant(ir.IntType(32), i)) for i in range(lanes.count)]
        return context.make_tuple(builder, sig.return_type, parts)

    return types.UniTuple(types.float64, lanes.count)(lanes), codegen


def _pointer(context, builder, array_type, array, place, count):
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [place]), _vector(count).as_pointer())


def _loader(lanes: Lanes) -> Any:
    def codegen(context, builder, sig, args):
        array, place = args
        return builder.load(_pointer(context, builder, sig.args[0], array, place, lanes.count), align=8)

    return lanes(VECTOR, types.intp), codegen


@intrinsic
def load_f64x2(typingctx, array, place):
    """Read two numbers from `place` on of a vector."""
    return _loader(PAIR)


@intrinsic
def load_f64x4(typingctx, array, place):
    """Read four numbers from `place` on of a vector."""
    return _loader(QUAD)


@intrinsic
def load_f64x8(typingctx, array, place):
    """Read eight numbers from `place` on of a vector."""
    return _loader(OCT)


@intrinsic
def store(typingctx, array, place, lanes):
    """Write lanes to a vector, from `place` on."""

    def codegen(context, builder, sig, args):
        array, place, value = args
        builder.store(value, _pointer(context, builder, sig.args[0], array, place, lanes.count), align=8)
        return context.get_dummy_value()

    return types.void(VECTOR, types.intp, lanes), codegen


def _shuffler(places: tuple[int, ...], result: Lanes, *arguments: Any) -> Any:
    def codegen(context, builder, sig, args):
        return builder.shuffle_vector(args[0], args[-1], _order(places))

    return result(*arguments), codegen


@intrinsic
def duplicate_low(typingctx, lanes):
    """Give (0, 1, 0, 1) of four lanes."""
    return _shuffler((0, 1, 0, 1), QUAD, QUAD)


@intrinsic
def duplicate_high(typingctx, lanes):
    """Give (2, 3, 2, 3) of four lanes."""
    return _shuffler((2, 3, 2, 3), QUAD, QUAD)


@intrinsic
def swap_pairs(typingctx, lanes):
    """Give (2, 3, 0, 1) of four lanes."""
    return _shuffler((2, 3, 0, 1), QUAD, QUAD)


@intrinsic
def interleave_low(typingctx, a, b):
    """Give lanes 0 and 1 of a, then those of b."""
    return _shuffler((0, 1, 4, 5), QUAD, QUAD, QUAD)


@intrinsic
def interleave_high(typingctx, a, b):
    """Give lanes 2 and 3 of a, then those of b."""
    return _shuffler((2, 3, 6, 7), QUAD, QUAD, QUAD)


def _mover(entry: int, places: tuple[int, ...]) -> Any:
    def codegen(context, builder, sig, args):
        moved = builder.shuffle_vector(args[0], args[0], _order(places))
        return builder.insert_element(moved, args[1], ir.Constant(ir.IntType(32), entry))

    return OCT(OCT, types.float64), codegen


@intrinsic
def shift_in_low(typingctx, lanes, value):
    """Give (value, 0, 1, ... 6) of eight lanes."""
    return _mover(0, (0, 0, 1, 2, 3, 4, 5, 6))


@intrinsic
def shift_in_high(typingctx, lanes, value):
    """Give (1, 2, ... 7, value) of eight lanes."""
    return _mover(7, (1, 2, 3, 4, 5, 6, 7, 7))


@intrinsic
def extract(typingctx, lanes, place):
    """Take one of eight lanes."""

    def codegen(context, builder, sig, args):
        return builder.extract_element(*args)

    return types.float64(OCT, types.intp), codegen


@intrinsic
def select_range(typingctx, low, high, inside, outside):
    """Take the lanes from `low` to `high` of `inside`, the others of `outside`; eight lanes."""

    def codegen(context, builder, sig, args):
        places = ir.VectorType(ir.IntType(64), 8)
        numbers = ir.Constant(places, list(range(8)))
        ends = []
        for end in args[:2]:
            first = builder.insert_element(ir.Constant(places, ir.Undefined), end, ir.Constant(ir.IntType(32), 0))
            ends.append(builder.shuffle_vector(first, first, _order((0,) * 8)))
        chosen = builder.and_(builder.icmp_signed(">=", numbers, ends[0]), builder.icmp_signed("<=", numbers, ends[1]))
        return builder.select(chosen, args[2], args[3])

    return OCT(types.intp, types.intp, OCT, OCT), codegen


def _spread(builder, kind, value, count):
    """Give lanes as they are, and one number in every lane."""
    if isinstance(kind, Lanes):
        return value
    first = builder.insert_element(ir.Constant(_vector(count), ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(first, first, _order((0,) * count))


def _arithmetic(symbol: Any, name: str) -> None:
    """Teach the compiler `+`, `-` or `*` of lanes with lanes, and of lanes with a number."""

    class Typing(AbstractTemplate):
        key = symbol

        def generic(self, args, kws):
            lanes = next((a for a in args if isinstance(a, Lanes)), None)
            if lanes is None or any(a not in (lanes, types.float64) for a in args):
                return None
            return signature(lanes, *args)

    register: Any = infer_global(symbol)
    register(Typing)

    def lower(context, builder, sig, args):
        spread = [_spread(builder, kind, v, sig.return_type.count) for kind, v in zip(sig.args, args, strict=True)]
        return getattr(builder, name)(*spread)

    for kinds in ((Lanes, Lanes), (Lanes, types.Float), (types.Float, Lanes)):
        lower_builtin(symbol, *kinds)(lower)


_arithmetic(operator.add, "fadd")
_arithmetic(operator.sub, "fsub")
_arithmetic(operator.mul, "fmul")
