//! Lets known-answer tests choose the randomness of the plugins they load.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    for function in ["getentropy", "getrandom"] {
        println!("cargo:rustc-link-arg-test=kat=-Wl,--export-dynamic-symbol={function}");
    }
}
