//! How the engines are set: what guests may use of WebAssembly, and how large
//! each part of an instance may be.

use std::num::NonZeroUsize;

use wasmtime::{Config, Enabled, ModuleVersionStrategy, PoolingAllocationConfig, WasmFeatures};

use super::EngineKind;
use super::cause::FRAMES;
use crate::limits::Limits;

/// Linear memories, tables and core modules that one component may have.
const MEMORIES: u32 = 2;
/// Addresses that an instance has kept for its memories, in bytes: what 32 bits
/// reach, and a guard behind it (the defaults of wasmtime, which are kept).
pub(crate) const ADDRESSES_OF_INSTANCE: usize = MEMORIES as usize * ((4 << 30) + (32 << 20));
const TABLES: u32 = 16;
const CORE_INSTANCES: u32 = 32;
/// Entries of one table. A Rust component has some hundreds, Python's 10,000.
pub(super) const TABLE_ELEMENTS: usize = 20_000;
/// What stays resident of a slot that is given back, in bytes. Measured with
/// `cargo xtask bench hello`: less costs page faults, more costs clearing.
const MEMORY_KEPT: usize = 256 << 10;
/// What a guest may use of its stack, in bytes; then it traps.
const GUEST_STACK: usize = 512 << 10;
/// The same for interpreters: below 1 MiB, Python's recursion limit comes after
/// the stack's end, and it traps in place of raising.
const DEEP_STACK: usize = 2 << 20;
/// What is left of a stack for the host functions that guests call. SECURITY:
/// passing its end aborts the process.
const HOST_STACK: usize = 1 << 20;
/// Places whose memory is given back in one system call. More would be nobody's until
/// then, and each may be as large as a memory; by hand (`wrk`, fresh
/// instances) it was no faster.
const GIVEN_BACK_TOGETHER: usize = 1;
const STACK_KEPT: usize = 32 << 10;

/// What no guest may use, said here so that it does not hang on the features
/// that the crates are built with. SECURITY: each is younger than what stays on,
/// and brings code of the engine that no handler needs.
const OFF: [WasmFeatures; 17] = [
    WasmFeatures::THREADS,
    WasmFeatures::SHARED_EVERYTHING_THREADS,
    WasmFeatures::GC,
    WasmFeatures::GC_TYPES,
    WasmFeatures::FUNCTION_REFERENCES,
    WasmFeatures::EXCEPTIONS,
    WasmFeatures::LEGACY_EXCEPTIONS,
    WasmFeatures::STACK_SWITCHING,
    WasmFeatures::MEMORY64,
    WasmFeatures::CUSTOM_PAGE_SIZES,
    WasmFeatures::RELAXED_SIMD,
    WasmFeatures::WIDE_ARITHMETIC,
    WasmFeatures::CM_THREADING,
    WasmFeatures::CM_ERROR_CONTEXT,
    WasmFeatures::CM_GC,
    WasmFeatures::CM_MAP,
    WasmFeatures::CM64,
];

/// SECURITY: reservation and guard sizes are left at their defaults, on which
/// the elision of bounds checks and the clearing of slots rely
/// (CVE-2026-34988), and so is `signals_based_traps`, which carries the
/// mitigations against Spectre.
pub(super) fn settings(kind: EngineKind) -> Config {
    let (concurrent, stack) = (kind.is_concurrent(), guest_stack(kind));
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .wasm_component_model_async(concurrent)
        .concurrency_support(concurrent)
        .epoch_interruption(true)
        .max_wasm_stack(stack)
        .async_stack_size(stack + HOST_STACK)
        .async_stack_zeroing(true)
        .memory_init_cow(true)
        .generate_address_map(true)
        .wasm_backtrace_max_frames(NonZeroUsize::new(FRAMES));
    for feature in OFF {
        config.wasm_features(feature, false);
    }
    // The version of the settings is part of what a compiled component is for.
    let _ = config.module_version(ModuleVersionStrategy::WasmtimeVersion);
    config
}

/// What a guest may use of its stack in an engine, in bytes.
pub(super) fn guest_stack(kind: EngineKind) -> usize {
    match kind {
        EngineKind::Plain | EngineKind::Concurrent => GUEST_STACK,
        EngineKind::Deep => DEEP_STACK,
    }
}

/// How many instances there may be, and how large each part of one.
pub(super) fn pool(limits: &Limits) -> PoolingAllocationConfig {
    let count = u32::try_from(limits.instances).unwrap_or(u32::MAX);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(count)
        .total_core_instances(count.saturating_mul(CORE_INSTANCES))
        .total_memories(count.saturating_mul(MEMORIES))
        .total_tables(count.saturating_mul(TABLES))
        .total_stacks(count)
        .max_core_instances_per_component(CORE_INSTANCES)
        .max_memories_per_component(MEMORIES)
        .max_memories_per_module(1)
        .max_tables_per_component(TABLES)
        .max_tables_per_module(TABLES)
        .table_elements(TABLE_ELEMENTS)
        .max_memory_size(limits.memory)
        .linear_memory_keep_resident(MEMORY_KEPT)
        .table_keep_resident(MEMORY_KEPT)
        .async_stack_keep_resident(STACK_KEPT)
        .decommit_batch_size(GIVEN_BACK_TOGETHER)
        .pagemap_scan(Enabled::Auto);
    pool
}
