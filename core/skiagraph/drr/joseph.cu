// Line integrals on a GPU: one thread a ray, one bilinear sample a slice (Joseph 1982, IEEE TMI 1(3), 192-196). The
// arithmetic is that of drr/reference.py; drr/cuda.py compiles this file where it runs, and knows what goes in.
//
// Everything is in voxel coordinates (i, j, k) of the field. A ray is set up in double precision, since it starts far
// from the voxels it looks for, and followed in single. No header is needed, so that any C++ compiler can take this file
// for the processor, where its results are held against the reference.

template <class T>
struct Triple {
    T x, y, z;
    // Choices instead of an address: what is indexed at run time would leave the registers.
    __device__ T operator[](int n) const { return n == 0 ? x : n == 1 ? y : z; }
};

struct View {
    Triple<double> source, corner, u_step, v_step;  // corner: the centre of pixel (0, 0)
    Triple<double> millimetres[3];                  // the rows of a matrix: voxel steps to world steps
};

struct Field {
    const float* values;  // [channels][k][j][i]
    const float* turned;  // [channels][i][k][j], for rays along i, whose slices lie scattered in the other; or null
    const int* boxes;     // [channels][2][3]: the first and the last voxel (i, j, k) that are not zero
    int channels;
    Triple<int> size;
};

struct Pictures {
    const View* views;
    int count, rows, columns;
};

struct Spectrum {
    const float* weight;       // [energies]: of the signal
    const float* spread;       // [energies]: of the variance
    const float* attenuation;  // [channels][energies], cm²/g
    int energies;
};

constexpr int kTile = 16;              // pixels a side that a block of 256 threads sees to, 8x4 of them a warp
constexpr int kMaterials = 32;         // cuda.py refuses more
constexpr float kMillimetres = 10.0f;  // in a centimetre
constexpr float kSafe = 0.01f;         // voxels within the outermost centres where rounding cannot lead outside

// Which pixel of which picture a thread sees to. Neighbours in a warp look at neighbouring voxels.
struct Pixel {
    int view, u, v;
    bool there;

    __device__ Pixel(const Pictures& pictures, int block, int thread) {
        const int across = (pictures.columns + kTile - 1) / kTile, down = (pictures.rows + kTile - 1) / kTile;
        const int tile = block % (across * down);
        view = block / (across * down);
        u = tile % across * kTile + (thread & 7) + ((thread >> 5) & 1) * 8;
        v = tile / across * kTile + ((thread >> 3) & 3) + (thread >> 6) * 4;
        there = u < pictures.columns && v < pictures.rows;
    }

    // Where this pixel of one of several planes a picture lies.
    __device__ long long in(const Pictures& pictures, int planes, int plane) const {
        return (static_cast<long long>(view * planes + plane) * pictures.rows + v) * pictures.columns + u;
    }
};

// One ray, slice by slice of the axis it runs most steeply through; `a` and `b` are the other two. Slices are counted
// from the middle one, where single precision is at its best.
struct Ray {
    int axis, a, b;
    int middle;              // the slice counted from
    float source, depth;     // along the axis: where the source lies, and the pixel as seen from it
    float rate;              // the fraction of the way from source to pixel that a slice is
    float p, q;              // the coordinates along a and b in the middle slice, and
    float slope_p, slope_q;  // how they change from one slice to the next
    Triple<float> world;     // from source to pixel, millimetres
    float length;

    __device__ Ray(const Pictures& pictures, const Field& field, const Pixel& pixel) {
        const View& view = pictures.views[pixel.view];
        const Triple<double> way{towards(view, pixel, 0), towards(view, pixel, 1), towards(view, pixel, 2)};
        axis = fabs(way.y) > fabs(way.x) ? 1 : 0;
        if (fabs(way.z) > fabs(way[axis])) axis = 2;
        a = axis == 0 ? 1 : 0;
        b = axis == 2 ? 1 : 2;
        middle = field.size[axis] / 2;
        const double inverse = 1.0 / way[axis], start = view.source[axis] - middle;
        const double da = way[a] * inverse, db = way[b] * inverse;
        source = static_cast<float>(start);
        depth = static_cast<float>(way[axis]);
        rate = static_cast<float>(inverse);
        p = static_cast<float>(view.source[a] - start * da);
        q = static_cast<float>(view.source[b] - start * db);
        slope_p = static_cast<float>(da);
        slope_q = static_cast<float>(db);
        world = {across(view.millimetres[0], way), across(view.millimetres[1], way), across(view.millimetres[2], way)};
        length = sqrtf(world.x * world.x + world.y * world.y + world.z * world.z);
    }

    // Millimetres from one slice to the next.
    __device__ float path() const { return length * fabsf(rate); }

    // The fraction of the way from source to pixel at which the ray crosses slice n.
    __device__ float at(float n) const { return (n - source) * rate; }

    // Where the ray starts and stops, the lower end first.
    __device__ float low() const { return fminf(source, source + depth); }
    __device__ float high() const { return fmaxf(source, source + depth); }

    // How much of slice n lies between source and pixel.
    __device__ float share(float n) const { return fmaxf(fminf(n + 0.5f, high()) - fmaxf(n - 0.5f, low()), 0.0f); }

   private:
    __device__ static double towards(const View& view, const Pixel& pixel, int n) {
        return view.corner[n] - view.source[n] + pixel.u * view.u_step[n] + pixel.v * view.v_step[n];
    }
    __device__ static float across(const Triple<double>& row, const Triple<double>& way) {
        return static_cast<float>(row.x * way.x + row.y * way.y + row.z * way.z);
    }
};

// The four voxels about a point of a slice, and where among them it lies.
struct Square {
    float here, along_p, along_q, beyond;
    float x, y;

    __device__ float value() const {
        const float near = here + x * (along_p - here), far = along_q + x * (beyond - along_q);
        return near + y * (far - near);
    }
    __device__ float slope_p() const { return (along_p - here) + y * ((beyond - along_q) - (along_p - here)); }
    __device__ float slope_q() const { return (along_q - here) + x * ((beyond - along_p) - (along_q - here)); }
};

// A coordinate from 0 to 2^23, taken apart. Adding 2^23 and rounding down leaves the whole part in the last bits, and
// is quicker than a conversion, of which a GPU does few at a time.
struct Parts {
    int whole;
    float rest;

    __device__ explicit Parts(float x) {
        constexpr float kShift = 8388608.0f;
        const float shifted = __fadd_rd(x, kShift);
        whole = __float_as_int(shifted) - 0x4b000000;
        rest = x - (shifted - kShift);
    }
};

// A range of slices, the last one left out.
struct Slices {
    int from, to;

    // Those of this range where low <= p + n slope <= high, and `slack` more at each end.
    __device__ Slices where(float p, float slope, float low, float high, float slack) const {
        if (low > high) return {from, from};  // a field of one voxel has nothing within
        const float one = (low - p) / slope, other = (high - p) / slope;  // infinite where the slope is zero
        return between(fminf(one, other) - slack, fmaxf(one, other) + slack);
    }

    // Those of this range from `first` to `last`.
    __device__ Slices between(float first, float last) const {
        const float start = fminf(fmaxf(ceilf(first), from), to);
        const float stop = fmaxf(fminf(floorf(last) + 1.0f, to), start);
        return {static_cast<int>(start), static_cast<int>(stop)};
    }
};

// One channel of the field as a ray sees it: slices across its axis.
struct Channel {
    const float* values;             // the middle slice
    int stride, stride_a, stride_b;  // from one slice to the next, and within one
    int size_a, size_b;
    Slices slices;  // those that hold anything on the ray's way
    Slices inner;   // those of them where nothing need be asked: four voxels there, and all of the slice on the way

    __device__ Channel(const Field& field, const Ray& ray, int channel) {
        const int ni = field.size.x, nj = field.size.y, nk = field.size.z;
        const bool turned = ray.axis == 0 && field.turned != nullptr;
        const Triple<int> strides = turned ? Triple<int>{nj * nk, 1, nj} : Triple<int>{1, ni, ni * nj};
        stride = strides[ray.axis];
        stride_a = strides[ray.a];
        stride_b = strides[ray.b];
        size_a = field.size[ray.a];
        size_b = field.size[ray.b];
        values = (turned ? field.turned : field.values) + static_cast<long long>(channel) * ni * nj * nk;
        values += ray.middle * stride;
        const int* first = field.boxes + 6 * channel;
        const int* last = first + 3;
        slices = {first[ray.axis] - ray.middle, last[ray.axis] - ray.middle + 1};
        slices = slices.between(ray.low() - 0.5f, ray.high() + 0.5f);
        slices = slices.where(ray.p, ray.slope_p, first[ray.a] - 1.0f, last[ray.a] + 1.0f, 1.0f);
        slices = slices.where(ray.q, ray.slope_q, first[ray.b] - 1.0f, last[ray.b] + 1.0f, 1.0f);
        inner = slices.between(ray.low() + 0.5f, ray.high() - 0.5f);
        inner = inner.where(ray.p, ray.slope_p, kSafe, size_a - 1 - kSafe, 0.0f);
        inner = inner.where(ray.q, ray.slope_q, kSafe, size_b - 1 - kSafe, 0.0f);
    }

    // Shows every slice on the way: to `inside` where there are no ifs, to `edge` elsewhere.
    template <class Visitor>
    __device__ void along(const Ray& ray, Visitor& visitor) const {
        for (int n = slices.from; n < inner.from; ++n) visitor.edge(ray, n, careful(ray, n));
        float way = inner.from;
        int place = inner.from * stride;
#pragma unroll 4
        for (int n = inner.from; n < inner.to; ++n, way += 1.0f, place += stride)
            visitor.inside(ray, way, quick(ray, way, place));
        for (int n = inner.to; n < slices.to; ++n) visitor.edge(ray, n, careful(ray, n));
    }

   private:
    __device__ Square quick(const Ray& ray, float way, int place) const {
        const Parts p(ray.p + way * ray.slope_p), q(ray.q + way * ray.slope_q);
        const int at = place + q.whole * stride_b + p.whole * stride_a;
        return {__ldg(values + at),
                __ldg(values + (at + stride_a)),
                __ldg(values + (at + stride_b)),
                __ldg(values + (at + stride_a + stride_b)),
                p.rest,
                q.rest};
    }

    __device__ Square careful(const Ray& ray, int n) const {
        const float p = ray.p + n * ray.slope_p, q = ray.q + n * ray.slope_q;
        const float i = floorf(p), j = floorf(q);
        return {voxel(n, i, j),
                voxel(n, i + 1.0f, j),
                voxel(n, i, j + 1.0f),
                voxel(n, i + 1.0f, j + 1.0f),
                p - i,
                q - j};
    }

    // Zero outside the field.
    __device__ float voxel(int n, float i, float j) const {
        if (!(i >= 0.0f && j >= 0.0f && i < size_a && j < size_b)) return 0.0f;
        return __ldg(values + (n * stride + static_cast<int>(j) * stride_b + static_cast<int>(i) * stride_a));
    }
};

// The field summed over the slices: times the path between them, the line integral.
struct Sum {
    float total = 0.0f;

    __device__ void inside(const Ray&, float, const Square& square) { total += square.value(); }
    __device__ void edge(const Ray& ray, float n, const Square& square) { total += ray.share(n) * square.value(); }
};

// The same sum and what its derivatives are made of. With f the field in a slice, t the fraction of the way there and
// s the slice's share:  Σ s f,  Σ s (1-t) ∂f/∂p,  Σ s t ∂f/∂p,  and so for q.
struct Slopes {
    float total = 0.0f;
    float source_p = 0.0f, source_q = 0.0f, pixel_p = 0.0f, pixel_q = 0.0f;
    float at_source = 0.0f, at_pixel = 0.0f;  // the field in the slice where the ray starts, and where it ends

    __device__ void add(float share, float at, const Square& square) {
        const float p = share * square.slope_p(), q = share * square.slope_q();
        total += share * square.value();
        source_p += (1.0f - at) * p;
        source_q += (1.0f - at) * q;
        pixel_p += at * p;
        pixel_q += at * q;
    }
    __device__ void inside(const Ray& ray, float n, const Square& square) { add(1.0f, ray.at(n), square); }
    __device__ void edge(const Ray& ray, float n, const Square& square) {
        add(ray.share(n), ray.at(n), square);
        if (fabsf(n - ray.source) < 0.5f) at_source += square.value();
        if (fabsf(n - (ray.source + ray.depth)) < 0.5f) at_pixel += square.value();
    }
    __device__ void add(float weight, const Slopes& other) {
        total += weight * other.total;
        source_p += weight * other.source_p;
        source_q += weight * other.source_q;
        pixel_p += weight * other.pixel_p;
        pixel_q += weight * other.pixel_q;
        at_source += weight * other.at_source;
        at_pixel += weight * other.at_pixel;
    }
};

// out: [views][channels][rows][columns], the field's unit times millimetres.
extern "C" __global__ void __launch_bounds__(256) integrate(Field field, Pictures pictures, float* out) {
    const Pixel pixel(pictures, blockIdx.x, threadIdx.x);
    if (!pixel.there) return;
    const Ray ray(pictures, field, pixel);
    for (int c = 0; c < field.channels; ++c) {
        Sum sum;
        Channel(field, ray, c).along(ray, sum);
        out[pixel.in(pictures, field.channels, c)] = ray.path() * sum.total;
    }
}

// out: [views][2][3][rows][columns], how a pixel's integrals, each times its `weight` [views][channels][rows][columns],
// change as the source moves along i, j and k, and as the pixel does.
//
// With d from the source s to the pixel e, m the ray's axis, F the sum and L the length: the integral is F L / |d_m|.
// A slice is crossed at t = (n - s_m) / d_m and p = s_a + t d_a, so that
//     ∂p/∂e_a = t,   ∂p/∂e_m = -t d_a / d_m,   ∂p/∂s_a = 1 - t,   ∂p/∂s_m = -(1 - t) d_a / d_m;
// and where a ray ends within a slice, that slice's share changes by what the end moves along m.
extern "C" __global__ void __launch_bounds__(256)
    differentiate(Field field, Pictures pictures, const float* weight, float* out) {
    const Pixel pixel(pictures, blockIdx.x, threadIdx.x);
    if (!pixel.there) return;
    const Ray ray(pictures, field, pixel);
    Slopes sum;
    for (int c = 0; c < field.channels; ++c) {
        Slopes slopes;
        Channel(field, ray, c).along(ray, slopes);
        sum.add(weight[pixel.in(pictures, field.channels, c)], slopes);
    }
    const float path = ray.path(), forward = copysignf(1.0f, ray.rate);
    const float of_source = -(sum.source_p * ray.slope_p + sum.source_q * ray.slope_q) - forward * sum.at_source;
    const float of_pixel = -(sum.pixel_p * ray.slope_p + sum.pixel_q * ray.slope_q) + forward * sum.at_pixel;
    const View& view = pictures.views[pixel.view];
    for (int n = 0; n < 3; ++n) {
        const float length = (static_cast<float>(view.millimetres[0][n]) * ray.world.x +
                              static_cast<float>(view.millimetres[1][n]) * ray.world.y +
                              static_cast<float>(view.millimetres[2][n]) * ray.world.z) / ray.length;  // ∂L/∂d
        const float stretch = length * fabsf(ray.rate) - (n == ray.axis ? path * ray.rate : 0.0f);  // ∂(L/|d_m|)/∂d
        const float by_source = n == ray.axis ? of_source : n == ray.a ? sum.source_p : sum.source_q;
        const float by_pixel = n == ray.axis ? of_pixel : n == ray.a ? sum.pixel_p : sum.pixel_q;
        out[pixel.in(pictures, 6, n)] = path * by_source - stretch * sum.total;
        out[pixel.in(pictures, 6, 3 + n)] = path * by_pixel + stretch * sum.total;
    }
}

// out: [views][2][rows][columns], the signal and the variance of physics/transmit.py behind a field of partial
// densities in g/cm³, one channel a material.
extern "C" __global__ void __launch_bounds__(256)
    transmit(Field field, Pictures pictures, Spectrum spectrum, float* out) {
    const Pixel pixel(pictures, blockIdx.x, threadIdx.x);
    if (!pixel.there) return;
    const Ray ray(pictures, field, pixel);
    float mass[kMaterials];
    for (int c = 0; c < field.channels; ++c) {
        Sum sum;
        Channel(field, ray, c).along(ray, sum);
        mass[c] = fmaxf(ray.path() * sum.total / kMillimetres, 0.0f);
    }
    float signal = 0.0f, variance = 0.0f;
    for (int e = 0; e < spectrum.energies; ++e) {
        float depth = 0.0f;
        for (int c = 0; c < field.channels; ++c)
            depth += __ldg(spectrum.attenuation + c * spectrum.energies + e) * mass[c];
        const float left = expf(-depth);
        signal += __ldg(spectrum.weight + e) * left;
        variance += __ldg(spectrum.spread + e) * left;
    }
    out[pixel.in(pictures, 2, 0)] = signal;
    out[pixel.in(pictures, 2, 1)] = variance;
}
