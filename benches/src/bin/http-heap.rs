//! `cargo xtask bench http-heap`: the allocations of middleware for HTTP. A program of its own, because the counter
//! replaces the allocator of the whole program, and takes time.

fn main() {
    brimful_benches::http::allocations(|work| allocation_counter::measure(work).count_total);
}
