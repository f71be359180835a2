//! Writes the prepared module: the source's sections, rewritten bodies, and what is added behind them.

use wasm_encoder::reencode::{Reencode, RoundtripReencoder};
use wasm_encoder::{
    BlockType, CodeSection, ConstExpr, DataSection, ElementSection, ExportKind, ExportSection, Function,
    FunctionSection, GlobalSection, GlobalType, ImportSection, Instruction, MemArg, MemArgTarget,
    MemorySection, MemoryType, Module, TableSection, TypeSection, ValType,
};

use super::body;
use super::interface::{FAULT_OUT_OF_FUEL, INTERFACE};
use super::source::Source;
use super::{FUEL, PrepareError};

const PAGE: u32 = 64 * 1024;

/// Every global takes as much as the widest in the state.
const GLOBAL_BYTES: u32 = 16;

/// Bulk memory instructions cost one for so many bytes (a power of two, as a shift).
const BULK_SHIFT: i32 = 4;

/// The indices of what is added.
pub(super) struct Added {
    pub(super) imported: u32,
    pub(super) pages: u32,
    pub(super) fuel: u32,
    pub(super) depth: u32,
    pub(super) fault: u32,
    state_bytes: u32,
    pub(super) grow: u32,
    pub(super) charge: u32,
    save: u32,
    load: u32,
    first_wrapper: u32,
}

impl Added {
    fn behind(source: &Source<'_>) -> Self {
        let (globals, functions) = (source.globals.len() as u32, source.functions.len() as u32);
        Self {
            imported: source.imported_functions,
            pages: globals,
            fuel: globals + 1,
            depth: globals + 2,
            fault: globals + 3,
            state_bytes: globals + 4,
            grow: functions,
            charge: functions + 1,
            save: functions + 2,
            load: functions + 3,
            first_wrapper: functions + 4,
        }
    }
}

/// The types of functions, with those that are added for our own and for blocks with several results.
struct Types {
    section: TypeSection,
    next: u32,
}

impl Types {
    fn add(&mut self, parameters: &[ValType], results: &[ValType]) -> u32 {
        self.section.ty().function(parameters.iter().copied(), results.iter().copied());
        self.next += 1;
        self.next - 1
    }
}

pub(super) fn emit(source: &Source<'_>) -> Result<Vec<u8>, PrepareError> {
    let mut reencoder = RoundtripReencoder;
    let added = Added::behind(source);
    let saved = saved_globals(source, &added)?;

    let mut types = Types { section: TypeSection::new(), next: 0 };
    for ty in &source.types {
        let ty = reencoder.func_type(ty.clone())?;
        types.add(ty.params(), ty.results());
    }
    let (mut functions, mut code) = (FunctionSection::new(), CodeSection::new());
    for (index, source_body) in source.bodies.iter().enumerate() {
        let ty = source.functions[source.imported_functions as usize + index];
        let results = reencoder.func_type(source.types[ty as usize].clone())?.results().to_vec();
        let result = match results[..] {
            [] => BlockType::Empty,
            [one] => BlockType::Result(one),
            _ => BlockType::FunctionType(types.add(&[], &results)),
        };
        functions.function(ty);
        code.function(&body::rewrite(source_body, result, &added)?);
    }
    let mut add_function = |parameters: &[ValType], results: &[ValType], body: Function| {
        functions.function(types.add(parameters, results));
        code.function(&body);
    };
    add_function(&[ValType::I32], &[ValType::I32], grow(&added, source.pages.most));
    add_function(&[ValType::I32], &[], charge(&added));
    add_function(&[], &[], transfer(&saved, source.pages.most, Direction::Save));
    add_function(&[], &[], transfer(&saved, source.pages.most, Direction::Load));
    for (wanted, &index) in INTERFACE.iter().zip(&source.interface) {
        let parameters = vec![ValType::I32; wanted.parameters.len()];
        let results = vec![ValType::I32; wanted.results.len()];
        add_function(
            &parameters,
            &results,
            wrapper(&added, index, wanted.parameters.len() as u32, source.pages.most),
        );
    }

    let mut module = Module::new();
    module.section(&types.section);
    if let Some(imports) = source.sections.imports.clone() {
        let mut section = ImportSection::new();
        reencoder.parse_import_section(&mut section, imports)?;
        module.section(&section);
    }
    module.section(&functions);
    if let Some(tables) = source.sections.tables.clone() {
        let mut section = TableSection::new();
        reencoder.parse_table_section(&mut section, tables)?;
        module.section(&section);
    }
    module.section(&memory(source.pages.most));
    module.section(&globals(source, saved.len() as u32)?);
    module.section(&exports(source, &added));
    if let Some(elements) = source.sections.elements.clone() {
        let mut section = ElementSection::new();
        reencoder.parse_element_section(&mut section, elements)?;
        module.section(&section);
    }
    module.section(&code);
    if let Some(data) = source.sections.data.clone() {
        let mut section = DataSection::new();
        reencoder.parse_data_section(&mut section, data)?;
        module.section(&section);
    }
    Ok(module.finish())
}

/// The globals that belong to the state: the module's own mutable ones, and the page counter. Fuel and depth are
/// set anew at every call.
fn saved_globals(source: &Source<'_>, added: &Added) -> Result<Vec<(u32, ValType)>, PrepareError> {
    let mut saved = Vec::new();
    for (index, global) in (0..).zip(&source.globals) {
        if global.mutable {
            saved.push((index, RoundtripReencoder.val_type(global.content_type)?));
        }
    }
    saved.push((added.pages, ValType::I32));
    if saved.len() as u32 * GLOBAL_BYTES > PAGE {
        return Err(PrepareError::Invalid(format!(
            "it has {} mutable globals; the most is 4095",
            saved.len() - 1
        )));
    }
    Ok(saved)
}

/// The memory that all frames share the size of: the most pages, and one more for the saved globals.
fn memory(most: u32) -> MemorySection {
    let mut section = MemorySection::new();
    let pages = u64::from(most) + 1;
    section.memory(MemoryType {
        minimum: pages,
        maximum: Some(pages),
        memory64: false,
        shared: false,
        page_size_log2: None,
    });
    section
}

fn globals(source: &Source<'_>, saved: u32) -> Result<GlobalSection, PrepareError> {
    let mut section = GlobalSection::new();
    if let Some(globals) = source.sections.globals.clone() {
        RoundtripReencoder.parse_global_section(&mut section, globals)?;
    }
    let state_bytes = source.pages.most * PAGE + saved * GLOBAL_BYTES;
    let mut add = |value: u32, mutable| {
        let ty = GlobalType { val_type: ValType::I32, mutable, shared: false };
        section.global(ty, &ConstExpr::i32_const(value.cast_signed()));
    };
    add(source.pages.initial, true);
    add(FUEL.cast_unsigned(), true);
    add(0, true);
    add(0, true);
    add(state_bytes, false);
    Ok(section)
}

fn exports(source: &Source<'_>, added: &Added) -> ExportSection {
    let mut section = ExportSection::new();
    section.export("memory", ExportKind::Memory, 0);
    for ((index, wanted), _) in (added.first_wrapper..).zip(&INTERFACE).zip(&source.interface) {
        section.export(wanted.name, ExportKind::Func, index);
    }
    section.export("interplay_save", ExportKind::Func, added.save);
    section.export("interplay_load", ExportKind::Func, added.load);
    section.export("interplay_state_bytes", ExportKind::Global, added.state_bytes);
    section.export("interplay_fault", ExportKind::Global, added.fault);
    section
}

/// `memory.grow` within a memory that has its full size already.
fn grow(added: &Added, most: u32) -> Function {
    let mut function = Function::new([]);
    let mut code = function.instructions();
    code.local_get(0).i32_const(most.cast_signed()).global_get(added.pages).i32_sub().i32_gt_u();
    code.if_(BlockType::Empty).i32_const(-1).return_().end();
    code.global_get(added.pages);
    code.global_get(added.pages).local_get(0).i32_add().global_set(added.pages);
    code.end();
    function
}

/// Charges for the bytes of a bulk memory instruction.
fn charge(added: &Added) -> Function {
    let mut function = Function::new([]);
    let mut code = function.instructions();
    code.global_get(added.fuel)
        .local_get(0)
        .i32_const(BULK_SHIFT)
        .i32_shr_u()
        .i32_sub()
        .global_set(added.fuel);
    code.global_get(added.fuel).i32_const(0).i32_lt_s();
    body::fault_if(&mut function, added, FAULT_OUT_OF_FUEL);
    function.instructions().end();
    function
}

/// Calls a function of the interface with full fuel, an empty stack and an empty last page. What stood in that
/// page depends on when a state was last saved, so the environment must not be able to read it.
fn wrapper(added: &Added, index: u32, parameters: u32, most: u32) -> Function {
    let mut function = Function::new([]);
    let mut code = function.instructions();
    code.i32_const(FUEL).global_set(added.fuel);
    code.i32_const(0).global_set(added.depth);
    code.i32_const(0).global_set(added.fault);
    code.i32_const((most * PAGE).cast_signed()).i32_const(0).i32_const(PAGE.cast_signed()).memory_fill(0);
    for parameter in 0..parameters {
        code.local_get(parameter);
    }
    code.call(index).end();
    function
}

#[derive(Clone, Copy)]
enum Direction {
    Save,
    Load,
}

/// Moves the saved globals to or from their place behind the memory's last page.
fn transfer(saved: &[(u32, ValType)], most: u32, direction: Direction) -> Function {
    let mut function = Function::new([]);
    for (place, &(global, ty)) in (0_u64..).zip(saved) {
        let offset = u64::from(most) * u64::from(PAGE) + place * u64::from(GLOBAL_BYTES);
        let at = MemArg { offset, align: 2, target: MemArgTarget::Memory(0), ordering: None };
        function.instruction(&Instruction::I32Const(0));
        match direction {
            Direction::Save => {
                function.instruction(&Instruction::GlobalGet(global));
                function.instruction(&match ty {
                    ValType::I64 => Instruction::I64Store(at),
                    ValType::F32 => Instruction::F32Store(at),
                    ValType::F64 => Instruction::F64Store(at),
                    ValType::V128 => Instruction::V128Store(at),
                    _ => Instruction::I32Store(at),
                });
            }
            Direction::Load => {
                function.instruction(&match ty {
                    ValType::I64 => Instruction::I64Load(at),
                    ValType::F32 => Instruction::F32Load(at),
                    ValType::F64 => Instruction::F64Load(at),
                    ValType::V128 => Instruction::V128Load(at),
                    _ => Instruction::I32Load(at),
                });
                function.instruction(&Instruction::GlobalSet(global));
            }
        }
    }
    function.instruction(&Instruction::End);
    function
}
