#!/bin/sh
# What building needs: Rust, a C compiler, and something that compiles for wasm32-unknown-unknown.
. "$(dirname "$0")/lib.sh"

command -v cargo >/dev/null || missing "Rust" "install it from https://rustup.rs"
command -v cc >/dev/null || packages "a C compiler" gcc libc6-dev

target=wasm32-unknown-unknown
has_target() { [ -n "$(ls "$(rustc --print target-libdir --target $target 2>/dev/null)" 2>/dev/null)" ]; }

has_target && exit 0
# Debian's compiler builds the standard library for the target from source.
if [ -x /usr/bin/rustc ] && [ -x /usr/bin/cargo ] && dpkg-query -W rust-web-src >/dev/null 2>&1; then exit 0; fi
if command -v rustup >/dev/null && [ "${RUSTUP_AUTO_INSTALL:-1}" != 0 ]; then
    timeout 120 rustup target add $target >&2 || true
    has_target && exit 0
fi
packages "a compiler for $target (rustup target add $target)" rustc-web cargo-web rust-web-src
