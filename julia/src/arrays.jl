# What functions of whole arrays are made of (`printer_arrays.py`), for arrays of any kind: those of a device too, whose elements can't
# be looked at one by one. Axes are in reverse, so that arrays lie in memory as in C order.

"A value, or an array that is broadcast, as an array of a size, of the kind of another."
np_fill(like, x::Number, size) = fill!(similar(like, typeof(x), size), x)
np_fill(like, x, size) = (y = similar(x, size); y .= x; y)

"All elements of some arrays, one after the other."
function np_join(parts...)
    y, start = similar(parts[1], sum(length, parts)), 1
    for part in parts
        copyto!(y, start, part, 1, length(part))
        start += length(part)
    end
    return y
end

"Arrays one after the other along a dimension."
function np_join_along(dim, parts...)
    total, start = sum(part -> size(part, dim), parts), 0
    y = similar(parts[1], ntuple(k -> k == dim ? total : size(parts[1], k), ndims(parts[1])))
    for part in parts
        selectdim(y, dim, (start + 1):(start + size(part, dim))) .= part
        start += size(part, dim)
    end
    return y
end

"Another array with some elements set to values."
function np_update(base, values, ranges...)
    y = copy(base)
    view(y, ranges...) .= values
    return y
end

function np_scatter(base, values, places)
    y = copy(base)
    vec(y)[places] = values
    return y
end

"""
    np_products(a, b)

Products of the matrices `a[:, :, i]` and `b[:, :, i]` in C order, for all indices i behind; axes of length 1 there, or none, serve all.
"""
function np_products(a, b)
    (k, m), n = size(a), size(b, 1)
    ndims(b) == 2 && return reshape(b * reshape(a, k, :), n, m, size(a)[3:end]...)
    rank = max(ndims(a), ndims(b))
    batch = ntuple(i -> max(size(a, i + 2), size(b, i + 2)), rank - 2)
    y = similar(a, n, m, batch...)
    for i in CartesianIndices(batch)
        place(x) = ntuple(j -> min(i[j], size(x, j + 2)), ndims(x) - 2)
        mul!(view(y, :, :, Tuple(i)...), view(b, :, :, place(b)...), view(a, :, :, place(a)...))
    end
    return y
end
