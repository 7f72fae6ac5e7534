# Elementwise functions that mean what NumPy's mean: NaN where Julia throws, and derivatives at kinks by one table.
#
# What holds at kinks: abs 0 at 0; minimum, maximum one half each at ties; hypot, arctan2 and copysign 0 at 0; 0^p has
# derivative 0 with respect to p, and with respect to its base 0 for p > 1 or p = 0, 1 for p = 1 and infinity otherwise;
# sqrt, cbrt and log have infinite slopes at 0. In a product of a slope and a tangent a factor 0 always wins.

# ---- values of ordinary numbers

np_abs(x::Real) = abs(x)
np_sign(x::Real) = sign(x)
np_log(x::Real) = x < 0 ? oftype(x, NaN) : log(x)
np_log1p(x::Real) = x < -1 ? oftype(x, NaN) : log1p(x)
np_log2(x::Real) = x < 0 ? oftype(x, NaN) : log2(x)
np_log10(x::Real) = x < 0 ? oftype(x, NaN) : log10(x)
np_sqrt(x::Real) = x < 0 ? oftype(x, NaN) : sqrt(x)
np_sqrt(x::Float64) = Base.sqrt_llvm(x) # NaN below 0, without a branch
np_cbrt(x::Real) = cbrt(x)
np_sin(x::Real) = isinf(x) ? oftype(x, NaN) : sin(x)
np_cos(x::Real) = isinf(x) ? oftype(x, NaN) : cos(x)
np_tan(x::Real) = isinf(x) ? oftype(x, NaN) : tan(x)
np_arcsin(x::Real) = abs(x) > 1 ? oftype(x, NaN) : asin(x)
np_arccos(x::Real) = abs(x) > 1 ? oftype(x, NaN) : acos(x)
np_arccosh(x::Real) = x < 1 ? oftype(x, NaN) : acosh(x)
np_arctanh(x::Real) = abs(x) > 1 ? oftype(x, NaN) : atanh(x)
np_tanh(x::Real) = tanh(x)
np_floor(x::Real) = floor(x)
np_ceil(x::Real) = ceil(x)
np_round(x::Real) = round(x)
np_trunc(x::Real) = trunc(x)
np_float(x::Bool) = Float64(x)

"""
Half of what a network does. By `exp(2x) - 1` as 2^k times a polynomial, without branches, so that loops over it are vectorised;
right to 3 units in the last place.
"""
@inline function np_tanh(x::Float64)
    size = abs(x)
    double = ifelse(size > 20.0, 40.0, size + size) # beyond, it is 1
    shifted = muladd(double, 1.4426950408889634, 0x1.8p52) # adding 1.5 * 2^52 rounds, and leaves k in the last bits
    k = shifted - 0x1.8p52
    rest = muladd(k, -1.90821492927058770002e-10, muladd(k, -0.693147180369123816490, double)) # log(2) in two parts
    power = muladd(rest * rest, evalpoly(rest, REST_OF_EXP), rest)
    scale = reinterpret(Float64, (reinterpret(Int, shifted) + 1023) << 52)
    above = muladd(scale, power, scale - 1.0)
    return copysign(above / (above + 2.0), x)
end

"`(exp(r) - 1 - r) / r^2` for `abs(r) <= log(2) / 2`, interpolated at Chebyshev's nodes, to 1.1e-16: two terms fewer than Taylor's."
const REST_OF_EXP = (
    0.5000000000000001, 0.16666666666666669, 0.041666666666623824, 0.008333333333330039, 0.0013888888917367081,
    0.00019841269863171557, 2.4801521057868204e-5, 2.7557268276905696e-6, 2.7620201591031547e-7, 2.5100472505694996e-8,
)

np_mod(x::Real, y::Real) = isinf(x) ? oftype(x, NaN) : mod(x, y)
np_arctan2(x::Real, y::Real) = atan(x, y)
np_hypot(x::Real, y::Real) = hypot(x, y)
np_minimum(x::Real, y::Real) = min(x, y)
np_maximum(x::Real, y::Real) = max(x, y)
np_copysign(x::Real, y::Real) = copysign(x, y)
@inline np_zero_product(x::Real, y::Real) = ifelse(iszero(x) | iszero(y), zero(x * y), x * y)

function np_pow(x::Real, y::Real)
    (x < 0 && !isinteger(y)) || return x^y
    return isinf(x) || isinf(y) ? abs(x)^y : oftype(x, NaN)
end

"""
Distances are roots of sums of squares, so their powers are halves. Of a constant exponent only one case is left when this is
compiled, without branches, so that loops over it are vectorised.
"""
@inline function np_pow(x::Float64, y::Float64)
    size = abs(y)
    size == 0.5 || size == 1.5 || size == 2.5 || return @noinline invoke(np_pow, Tuple{Real, Real}, x, y)
    x = ifelse(x == -Inf, Inf, x + 0.0) # as powers have it, of -0.0 too
    root = Base.sqrt_llvm(x)
    power = size == 0.5 ? root : size == 1.5 ? x * root : x * x * root
    return y < 0 ? inv(power) : power
end

@inline np_where(c::Bool, a, b) = ifelse(c, promote(a, b)...)

"Linear interpolation in increasing tables, held at both ends: `n` elements of `xs` and `ys` behind the given offsets."
@inline function np_interp(x, xs, before_x, ys, before_y, n)
    @inbounds begin
        isnan(x) && return x + zero(ys[before_y + 1])
        x < xs[before_x + 1] && return ys[before_y + 1] + zero(x)
        x >= xs[before_x + n] && return ys[before_y + n] + zero(x)
        low, high = 1, n
        while high - low > 1
            middle = (low + high) >>> 1
            if xs[before_x + middle] <= x
                low = middle
            else
                high = middle
            end
        end
        x0, x1, y0, y1 = xs[before_x + low], xs[before_x + high], ys[before_y + low], ys[before_y + high]
        return (y1 - y0) / (x1 - x0) * (x - x0) + y0
    end
end

# ---- slopes: of the value y and the arguments

const SLOPES = (
    np_abs = (y, x) -> np_sign(x),
    np_sign = (y, x) -> zero(x),
    np_log = (y, x) -> inv(x),
    np_log1p = (y, x) -> inv(1 + x),
    np_log2 = (y, x) -> inv(x * log(2)),
    np_log10 = (y, x) -> inv(x * log(10)),
    np_sqrt = (y, x) -> 0.5 / y,
    np_cbrt = (y, x) -> inv(3 * y * y),
    np_sin = (y, x) -> np_cos(x),
    np_cos = (y, x) -> -np_sin(x),
    np_tan = (y, x) -> 1 + y * y,
    np_arcsin = (y, x) -> inv(np_sqrt((1 - x) * (1 + x))),
    np_arccos = (y, x) -> -inv(np_sqrt((1 - x) * (1 + x))),
    np_arccosh = (y, x) -> inv(np_sqrt((x - 1) * (x + 1))),
    np_arctanh = (y, x) -> inv((1 - x) * (1 + x)),
    np_tanh = (y, x) -> (1 - y) * (1 + y),
    np_floor = (y, x) -> zero(x),
    np_ceil = (y, x) -> zero(x),
    np_round = (y, x) -> zero(x),
    np_trunc = (y, x) -> zero(x),
)

"`a / b`, and 0 where b is 0."
over(a, b) = iszero(b) ? zero(a) : a / b

"1 where `chosen`, one half where neither it nor `other`."
share(chosen, other) = ifelse(chosen, 1.0, ifelse(other, 0.0, 0.5))

power_base(y, a, b) = iszero(b) ? zero(y) : b * np_pow(a, b - 1)
power_exponent(y, a, b) = iszero(a) ? zero(y) : y * np_log(a)

const PARTIALS = (
    np_pow = (power_base, power_exponent),
    np_mod = ((y, a, b) -> one(y), (y, a, b) -> -np_floor(a / b)),
    np_arctan2 = (
        (y, a, b) -> over(over(b, np_hypot(a, b)), np_hypot(a, b)),
        (y, a, b) -> -over(over(a, np_hypot(a, b)), np_hypot(a, b)),
    ),
    np_hypot = ((y, a, b) -> over(a, y), (y, a, b) -> over(b, y)),
    np_minimum = ((y, a, b) -> share(a < b, b < a), (y, a, b) -> share(b < a, a < b)),
    np_maximum = ((y, a, b) -> share(a > b, b > a), (y, a, b) -> share(b > a, a > b)),
    np_copysign = ((y, a, b) -> np_sign(a) * copysign(1.0, b), (y, a, b) -> zero(y)),
    np_zero_product = ((y, a, b) -> b, (y, a, b) -> a),
)

"A slope times partials, in which a factor 0 always wins."
@inline function zero_product(slope, p::Partials)
    return Partials(map(tangent -> iszero(slope) || iszero(tangent) ? zero(slope * tangent) : slope * tangent, p.values))
end

# ---- dual numbers

for name in keys(SLOPES)
    @eval @inline function $name(x::Dual{T}) where {T}
        y = $name(value(x))
        return Dual{T}(y, zero_product(SLOPES.$name(y, value(x)), partials(x)))
    end
end

for name in keys(PARTIALS)
    @eval begin
        @inline function $name(x::Dual{T}, y::Dual{T}) where {T}
            a, b = value(x), value(y)
            z = $name(a, b)
            left = zero_product(PARTIALS.$name[1](z, a, b), partials(x))
            return Dual{T}(z, left + zero_product(PARTIALS.$name[2](z, a, b), partials(y)))
        end
        @inline function $name(x::Dual{S}, y::Dual{T}) where {S, T}
            return ForwardDiff.:≺(T, S) ? left_dual($name, x, y) : right_dual($name, x, y)
        end
        @inline $name(x::Dual, y::AbstractFloat) = left_dual($name, x, y)
        @inline $name(x::AbstractFloat, y::Dual) = right_dual($name, x, y)
        @inline slope_of(::typeof($name), k, z, a, b) = PARTIALS.$name[k](z, a, b)
    end
end

@inline function left_dual(f, x::Dual{T}, y) where {T}
    z = f(value(x), y)
    return Dual{T}(z, zero_product(slope_of(f, 1, z, value(x), y), partials(x)))
end

@inline function right_dual(f, x, y::Dual{T}) where {T}
    z = f(x, value(y))
    return Dual{T}(z, zero_product(slope_of(f, 2, z, x, value(y)), partials(y)))
end
