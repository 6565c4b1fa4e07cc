//! Policies that mean harm, each in the program's own children: it ends with the reason that is promised, in bounded
//! time and memory, and an honest policy goes on.

use std::time::{Duration, Instant};

use igw::policy::{
    engine::Engine,
    failure::{Failure, Reason},
    limits,
};
use serde_json::json;
use wasm_encoder::{
    BlockType, CodeSection, ExportKind, ExportSection, Function, FunctionSection, Instruction, MemorySection,
    MemoryType, Module, TypeSection, ValType,
};

use crate::guests::{self, Guest, call, documents, engine, guest, manifest, policy, run, unchanged};

/// How one ended, as the heads of the files say it.
fn word<T>(ended: &Result<T, Failure>) -> &'static str {
    ended.as_ref().err().map_or("ok", |failure| failure.reason.as_str())
}

/// Runs one policy, and an honest one after it.
async fn try_one(engine: &Engine, guest: &Guest, honest: &[u8]) {
    let Guest { name, bytes, says } = guest;
    let start = Instant::now();
    let loaded = engine.load(bytes).await;
    assert_eq!(word(&loaded), says["load"], "{name}: {loaded:?}");
    let mut ended = loaded.as_ref().err().cloned();
    if let Ok(loaded) = &loaded {
        let documents = documents();
        let report = engine.rewrite(loaded, call("p", &documents)).await.report;
        assert_eq!(word(&report.result), says["rewrite"], "{name}: {report:?}");
        assert!(report.usage.fuel <= 50_000_000 && report.usage.memory <= 64 << 20, "{name}: {report:?}");
        if let (Some(gives), Ok(output)) = (says.get("gives"), &report.result) {
            assert_eq!(output.objects, [gives.as_str()], "{name}");
        }
        ended = ended.or(report.result.err());
    }
    if let Some(words) = says.get("says") {
        let failure = ended.expect("a failure");
        assert!(failure.message.contains(words) && failure.message.len() <= limits::MESSAGE, "{name}: {failure}");
    }
    let took = start.elapsed();
    assert!(took < Duration::from_secs(10), "{name} took {took:?}");
    assert_eq!(run(engine, honest).await.expect("loaded").result, Ok(unchanged()), "after {name}");
}

#[tokio::test]
async fn every_guest_of_the_folder_ends_as_its_file_says() {
    let engine = engine();
    let honest = guest("honest").bytes;
    let guests = guests::all();
    assert!(guests.len() > 25, "the files were found: {}", guests.len());
    for guest in &guests {
        try_one(&engine, guest, &honest).await;
    }
    // None of them took the evaluating child down: wasmtime held, the cage was not even needed.
    assert_eq!(engine.figures().started, 1);
}

#[tokio::test]
async fn every_file_is_in_the_readme() {
    let readme = include_str!("../hostile/README.md");
    for guest in guests::all() {
        let row = readme.lines().find(|line| line.starts_with(&format!("| `{}` |", guest.name)));
        let row = row.unwrap_or_else(|| panic!("{} is not in tests/hostile/README.md", guest.name));
        let ended = ["load", "rewrite"].iter().filter_map(|when| guest.says.get(*when)).find(|word| *word != "ok");
        let ends = guest.says.get("guard").or(ended).map_or("| ", String::as_str);
        assert!(row.contains(ends), "{} ends with {ends}: {row}", guest.name);
    }
}

#[tokio::test]
async fn a_contract_with_one_more_field_is_refused_when_it_is_loaded() {
    let field = "        details: string,\n    }\n\n    // Why there is no result";
    assert!(guests::WIT.contains(field), "the contract reads as this test expects");
    let more = guests::WIT.replace(field, &field.replacen('\n', "\n        warnings: option<string>,\n", 1));
    let engine = engine();
    let refused = engine.load(&guests::policy_of(&more)).await.expect_err("refused");
    assert_eq!(refused.reason, Reason::WrongInterface, "{refused}");
    let same = engine.load(&guests::policy_of(guests::WIT)).await;
    assert!(same.is_ok(), "the contract as it is: {same:?}");
    // A later 1.x that uses nothing new is served; one that does is told so.
    let later = guests::WIT.replace("@1.0.0", "@1.1.0");
    let served = engine.load(&guests::policy_of(&later)).await;
    assert!(served.is_ok(), "{served:?}");
    let newer = later.replace("    report-panic: func", "    clock: func() -> u64;\n    report-panic: func");
    let refused = engine.load(&guests::policy_of(&newer)).await.expect_err("no operator knows it yet");
    assert!(refused.reason == Reason::WrongInterface && refused.message.contains("clock"), "{refused}");
}

#[tokio::test]
async fn a_thousand_runs_give_the_same_bytes() {
    let engine = engine();
    let guest = guest("nan");
    let loaded = engine.load(&guest.bytes).await.expect("loaded");
    let documents = documents();
    let mut fuel = None;
    for number in 0..1_000 {
        // As another policy each time, so that nothing is remembered.
        let name = number.to_string();
        let evaluated = engine.rewrite(&loaded, call(&name, &documents)).await;
        assert!(!evaluated.remembered);
        assert_eq!(evaluated.report.result.expect("a result").objects, [guest.says["gives"].as_str()]);
        assert_eq!(*fuel.get_or_insert(evaluated.report.usage.fuel), evaluated.report.usage.fuel);
    }
}

/// A policy with functions that are expensive to compile, many locals that live across
/// nested blocks with branches to all of them.
fn bomb(functions: u32, body: usize, locals: u32, nesting: u32) -> Vec<u8> {
    let mut types = TypeSection::new();
    let i32s = |count: usize| vec![ValType::I32; count];
    types.ty().function([], []);
    types.ty().function(i32s(4), i32s(1));
    types.ty().function(i32s(2), i32s(1));
    types.ty().function(i32s(6), i32s(1));
    let mut declared = FunctionSection::new();
    let mut code = CodeSection::new();
    for kind in [1, 2, 3] {
        declared.function(kind);
        let mut trap = Function::new([]);
        trap.instruction(&Instruction::Unreachable).instruction(&Instruction::End);
        code.function(&trap);
    }
    for number in 0..functions {
        declared.function(0);
        code.function(&expensive(number, body, locals, nesting));
    }
    let mut memories = MemorySection::new();
    memories.memory(MemoryType { minimum: 1, maximum: None, memory64: false, shared: false, page_size_log2: None });
    let mut exports = ExportSection::new();
    exports.export("memory", ExportKind::Memory, 0).export("cabi_realloc", ExportKind::Func, 0);
    exports.export("inference-gateway:policy/policy@1.0.0#validate-settings", ExportKind::Func, 1);
    exports.export("inference-gateway:policy/policy@1.0.0#rewrite", ExportKind::Func, 2);
    let mut module = Module::new();
    module.section(&types).section(&declared).section(&memories).section(&exports).section(&code);
    policy(module.finish(), &manifest("bomb"))
}

fn expensive(number: u32, body: usize, locals: u32, nesting: u32) -> Function {
    let mut function = Function::new([(locals, ValType::I32)]);
    for _ in 0..nesting {
        function.instruction(&Instruction::Block(BlockType::Empty));
    }
    let mut seed = number.wrapping_mul(0x9e37_79b9) | 1;
    let mut next = |most: u32| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) % most
    };
    for level in (0..nesting).rev() {
        let share = body / nesting as usize * (nesting - level) as usize;
        while function.byte_len() < share {
            let (a, b, c) = (next(locals), next(locals), next(locals));
            function
                .instruction(&Instruction::LocalGet(b))
                .instruction(&Instruction::LocalGet(c))
                .instruction(&Instruction::I32Add)
                .instruction(&Instruction::LocalSet(a))
                .instruction(&Instruction::LocalGet(a))
                .instruction(&Instruction::BrIf(next(level + 1)));
        }
        function.instruction(&Instruction::End);
    }
    function.instruction(&Instruction::End);
    function
}

#[tokio::test]
async fn compile_bombs_end_in_the_child_while_others_are_served() {
    let engine = engine();
    let honest = engine.load(&guest("honest").bytes).await.expect("loaded");
    let documents = documents();
    for (functions, body, locals, nesting) in [
        (1, 96 << 10, 512, 200),
        (10, 96 << 10, 512, 200),
        (120, 8 << 10, 300, 200),
        (60, 16 << 10, 400, 200),
        (30, 24 << 10, 500, 200),
        (16, 24 << 10, 500, 200),
    ] {
        let bytes = bomb(functions, body, locals, nesting);
        let name = format!("{functions} x {body}, {locals} locals, {} KB", bytes.len() >> 10);
        let start = Instant::now();
        let loading = engine.load(&bytes);
        tokio::pin!(loading);
        let mut served = 0_u32;
        let loaded = loop {
            tokio::select! {
                loaded = &mut loading => break loaded,
                () = tokio::time::sleep(Duration::from_millis(20)) => {
                    let one = Instant::now();
                    let policy = format!("{name} {served}");
                    let report = engine.rewrite(&honest, call(&policy, &documents)).await.report;
                    assert_eq!(report.result, Ok(unchanged()));
                    let took = one.elapsed();
                    assert!(took < Duration::from_secs(1), "{name}: another policy waited {took:?}");
                    served += 1;
                }
            }
        };
        let took = start.elapsed();
        let refused = loaded.expect_err(&name);
        eprintln!("{name}: {refused} after {took:?}, {served} calls of another policy meanwhile");
        assert_eq!(refused.reason, Reason::CompileLimit, "{name}: {refused}");
        assert!(took < Duration::from_secs(17), "{name}: {took:?}");
        let again = Instant::now();
        assert_eq!(engine.load(&bytes).await.expect_err("still"), refused);
        assert!(again.elapsed() < Duration::from_secs(1), "the same bytes are not compiled again");
    }
}

#[tokio::test]
async fn what_a_count_can_tell_is_not_compiled() {
    let engine = engine();
    for (bytes, words) in [
        (bomb(1, 300 << 10, 10, 2), "bytes, of which"),
        (bomb(1, 1 << 10, 5_000, 2), "has 5000 locals"),
        (bomb(1, 1 << 10, 10, 600), "too many blocks"),
        (bomb(11_000, 16, 1, 1), "more than 10000 functions"),
    ] {
        let refused = engine.load(&bytes).await.expect_err(words);
        assert_eq!(refused.reason, Reason::CompileLimit, "{refused}");
        assert!(refused.message.contains(words), "{refused}");
    }
    assert_eq!(engine.figures().compiled, 0);
}

#[tokio::test]
async fn decompression_bombs_stop_at_the_limit() {
    use std::io::Write as _;
    let engine = engine();
    let pack = |bytes: &[u8]| {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        packer.write_all(bytes).expect("packed");
        packer.finish().expect("packed")
    };
    let bomb = pack(&vec![0; 1 << 30]);
    assert!(bomb.len() < 2 << 20);
    let start = Instant::now();
    let refused = engine.load(&bomb).await.expect_err("too large");
    assert!(refused.reason == Reason::InvalidModule && refused.message.contains("larger than 4 MiB"), "{refused}");
    assert!(start.elapsed() < Duration::from_secs(2));
    let honest = guest("honest").bytes;
    assert_eq!(run(&engine, &pack(&honest)).await.expect("loaded").result, Ok(unchanged()));
    let twice = engine.load(&pack(&pack(&honest))).await.expect_err("packed twice");
    assert!(twice.reason == Reason::NotAComponent && twice.message.contains("packed twice"), "{twice}");
    let packed = pack(&honest);
    let cut = engine.load(&packed[..packed.len() / 2]).await.expect_err("cut");
    assert!(cut.message.contains("failed to unpack"), "{cut}");
}

#[test]
fn the_reader_of_modules_takes_any_bytes() {
    let honest = guest("honest").bytes;
    let mut seed = 1_u64;
    let mut next = |most: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % most
    };
    let mut read = 0;
    for _ in 0..20_000 {
        let mut bytes = honest.clone();
        for _ in 0..=next(4) {
            let at = next(bytes.len());
            match next(4) {
                0 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][next(5)],
                1 => bytes[at] ^= 1 << next(8),
                2 => drop(bytes.drain(at..(at + next(16)).min(bytes.len()))),
                _ => bytes.truncate(at.max(8)),
            }
        }
        // Whatever it says, it says it and does not panic.
        read += usize::from(igw::policy::module::inspect(&bytes).is_ok());
    }
    assert!(read > 10, "some are still policies, so this reaches the end of the reader: {read}");
}

#[tokio::test]
async fn a_schema_that_never_ends_is_ended() {
    // Every level asks the next one twice: 2^40 questions.
    let mut definitions = serde_json::Map::new();
    for level in 0..40 {
        let next = json!({"$ref": format!("#/$defs/l{}", level + 1)});
        definitions.insert(format!("l{level}"), json!({"allOf": [next, next]}));
    }
    definitions.insert("l40".into(), json!({"type": "object"}));
    let schema = json!({"$ref": "#/$defs/l0", "$defs": definitions});
    let mut manifest = manifest("schema");
    manifest["settings"] = schema;
    let component = guest("honest").bytes;
    // The honest one without its own manifest.
    let bare = component.len() - (guests::with_manifest(&[], &guests::manifest("honest")).len());
    let engine = engine();
    let start = Instant::now();
    let loaded = engine.load(&guests::with_manifest(&component[..bare], &manifest)).await;
    let ended = match &loaded {
        Ok(loaded) => engine.validate_settings(loaded, "{}", limits::Limits::default()).await.map_err(Some),
        Err(failure) => Err(Some(failure.clone())),
    };
    // Whether the library or the clock ends it, it ends, and the next call is served.
    eprintln!("{ended:?} after {:?}", start.elapsed());
    assert!(start.elapsed() < Duration::from_secs(12));
    assert_eq!(run(&engine, &component).await.expect("loaded").result, Ok(unchanged()));
}
