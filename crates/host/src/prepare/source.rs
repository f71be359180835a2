//! Reads a module, refuses what cannot be made deterministic, and keeps what the rewriting needs.

use wasmparser::{
    CompositeInnerType, Export, ExternalKind, FuncType, FuncValidatorAllocations, FunctionBody, GlobalType,
    Operator, Parser, Payload, TypeRef, ValType, ValidPayload, Validator, WasmFeatures,
};

use super::interface::{ADDED, INTERFACE, OPTIONS};
use super::{DEFAULT_GROWTH_PAGES, MAX_MODULE_BYTES, MAX_PAGES, PrepareError};

/// What a module may use. Left out on purpose: threads and relaxed SIMD (not deterministic); passive segments,
/// table instructions and references (state that is not in memory); tail calls and exceptions (they leave
/// functions without passing the counters); several or 64-bit memories.
pub(super) const FEATURES: WasmFeatures = WasmFeatures::FLOATS
    .union(WasmFeatures::MUTABLE_GLOBAL)
    .union(WasmFeatures::SATURATING_FLOAT_TO_INT)
    .union(WasmFeatures::SIGN_EXTENSION)
    .union(WasmFeatures::MULTI_VALUE)
    .union(WasmFeatures::BULK_MEMORY_OPT)
    .union(WasmFeatures::CALL_INDIRECT_OVERLONG)
    .union(WasmFeatures::SIMD);

/// A module that can be prepared.
#[derive(Default)]
pub(super) struct Source<'a> {
    pub(super) types: Vec<FuncType>,
    /// The type of every function, imported ones first.
    pub(super) functions: Vec<u32>,
    pub(super) imported_functions: u32,
    pub(super) globals: Vec<GlobalType>,
    pub(super) pages: Pages,
    /// Of [`INTERFACE`], in its order: the functions' indices.
    pub(super) interface: Vec<u32>,
    pub(super) bodies: Vec<Body<'a>>,
    pub(super) sections: Sections<'a>,
}

/// The sections that are passed on as they are.
#[derive(Default)]
pub(super) struct Sections<'a> {
    pub(super) imports: Option<wasmparser::ImportSectionReader<'a>>,
    pub(super) tables: Option<wasmparser::TableSectionReader<'a>>,
    pub(super) globals: Option<wasmparser::GlobalSectionReader<'a>>,
    pub(super) elements: Option<wasmparser::ElementSectionReader<'a>>,
    pub(super) data: Option<wasmparser::DataSectionReader<'a>>,
}

/// A memory's size, in pages.
#[derive(Clone, Copy, Default)]
pub(super) struct Pages {
    pub(super) initial: u32,
    pub(super) most: u32,
}

/// A function with what validation found out about it.
pub(super) struct Body<'a> {
    pub(super) body: FunctionBody<'a>,
    /// Parameters and locals.
    pub(super) locals: u32,
    /// The most operands that are on the stack at once.
    pub(super) height: u32,
    pub(super) calls: bool,
    pub(super) needs: Needs,
}

/// The locals that rewriting a function takes.
#[derive(Clone, Copy, Default)]
pub(super) struct Needs {
    /// For a bulk memory instruction's byte count.
    pub(super) count: bool,
    /// For results that may be NaN, by [`super::nan::Float::local`].
    pub(super) floats: [bool; 3],
}

pub(super) fn read(module: &[u8]) -> Result<Source<'_>, PrepareError> {
    if module.len() > MAX_MODULE_BYTES {
        return Err(PrepareError::Invalid(format!("it has {} bytes; the most is 32 MiB", module.len())));
    }
    let mut validator = Validator::new_with_features(FEATURES);
    let mut allocations = FuncValidatorAllocations::default();
    let mut source = Source::default();
    let mut memory = None;
    let mut exports = Vec::new();
    for payload in Parser::new(0).parse_all(module) {
        let payload = payload?;
        if let ValidPayload::Func(function, body) = validator.payload(&payload)? {
            let mut function = function.into_validator(std::mem::take(&mut allocations));
            let index = source.imported_functions as usize + source.bodies.len();
            let body =
                measure(&mut function, body).map_err(|error| PrepareError::in_function(index, &error))?;
            source.bodies.push(body);
            allocations = function.into_allocations();
            continue;
        }
        match payload {
            Payload::TypeSection(section) => source.read_types(section)?,
            Payload::ImportSection(section) => source.read_imports(section)?,
            Payload::FunctionSection(section) => {
                for function in section {
                    source.functions.push(function?);
                }
            }
            Payload::TableSection(section) => source.sections.tables = Some(section),
            Payload::MemorySection(section) => memory = section.into_iter().next().transpose()?,
            Payload::GlobalSection(section) => source.read_globals(section)?,
            Payload::ExportSection(section) => exports = section.into_iter().collect::<Result<_, _>>()?,
            Payload::ElementSection(section) => source.sections.elements = Some(section),
            Payload::DataSection(section) => source.sections.data = Some(section),
            Payload::StartSection { .. } => return Err(PrepareError::Start),
            _ => {}
        }
    }
    source.pages = pages(memory)?;
    source.find_interface(&exports)?;
    Ok(source)
}

fn measure<'a>(
    function: &mut wasmparser::FuncValidator<wasmparser::ValidatorResources>,
    body: FunctionBody<'a>,
) -> Result<Body<'a>, wasmparser::BinaryReaderError> {
    let mut reader = body.get_binary_reader();
    function.read_locals(&mut reader)?;
    let mut operators = wasmparser::OperatorsReader::new(reader);
    let (mut height, mut calls, mut needs) = (0, false, Needs::default());
    while !operators.eof() {
        let (operator, at) = operators.read_with_offset()?;
        function.op(at, &operator)?;
        height = height.max(function.operand_stack_height());
        calls |= matches!(operator, Operator::Call { .. } | Operator::CallIndirect { .. });
        needs.count |= matches!(operator, Operator::MemoryCopy { .. } | Operator::MemoryFill { .. });
        if let Some(float) = super::nan::made_by(&operator) {
            needs.floats[float.local()] = true;
        }
    }
    Ok(Body { body, locals: function.len_locals(), height, calls, needs })
}

fn pages(memory: Option<wasmparser::MemoryType>) -> Result<Pages, PrepareError> {
    let Some(memory) = memory else {
        return Err(PrepareError::Memory("is missing: it must have one of its own".into()));
    };
    let initial = u32::try_from(memory.initial).unwrap_or(u32::MAX);
    let default = initial.saturating_add(DEFAULT_GROWTH_PAGES).min(MAX_PAGES);
    let most = memory.maximum.map_or(default, |most| u32::try_from(most).unwrap_or(u32::MAX));
    if initial > MAX_PAGES || most > MAX_PAGES {
        return Err(PrepareError::Memory(format!(
            "may have {} pages; the most is {MAX_PAGES} (16 MiB), since it is copied every frame: link with `--max-memory`",
            initial.max(most)
        )));
    }
    Ok(Pages { initial, most })
}

impl<'a> Source<'a> {
    fn read_types(&mut self, section: wasmparser::TypeSectionReader<'a>) -> Result<(), PrepareError> {
        for group in section {
            for ty in group?.into_types() {
                match ty.composite_type.inner {
                    CompositeInnerType::Func(function) => self.types.push(function),
                    _ => return Err(PrepareError::Invalid("it has types that are not functions".into())),
                }
            }
        }
        Ok(())
    }

    fn read_imports(&mut self, section: wasmparser::ImportSectionReader<'a>) -> Result<(), PrepareError> {
        for import in section.clone().into_imports() {
            let import = import?;
            let log =
                self.types.iter().position(|ty| ty.params() == [ValType::I32; 2] && ty.results().is_empty());
            let allowed = import.module == "interplay" && import.name == "log";
            match import.ty {
                TypeRef::Func(ty) if allowed && self.is_type(ty, log) => self.functions.push(ty),
                _ => return Err(PrepareError::Import(format!("{}.{}", import.module, import.name))),
            }
        }
        self.imported_functions = self.functions.len() as u32;
        self.sections.imports = Some(section);
        Ok(())
    }

    /// Whether a type is the same as another, which a module may have more than once.
    fn is_type(&self, ty: u32, other: Option<usize>) -> bool {
        let get = |index: usize| self.types.get(index);
        other.is_some_and(|other| get(ty as usize) == get(other))
    }

    fn read_globals(&mut self, section: wasmparser::GlobalSectionReader<'a>) -> Result<(), PrepareError> {
        for (index, global) in (0..).zip(section.clone()) {
            let ty = global?.ty;
            if ty.mutable && matches!(ty.content_type, ValType::Ref(_)) {
                return Err(PrepareError::ReferenceGlobal(index));
            }
            self.globals.push(ty);
        }
        self.sections.globals = Some(section);
        Ok(())
    }

    fn find_interface(&mut self, exports: &[Export<'_>]) -> Result<(), PrepareError> {
        let memory = |export: &Export<'_>| export.name == "memory" && export.kind == ExternalKind::Memory;
        if !exports.iter().any(memory) {
            return Err(PrepareError::Export { name: "memory", signature: "" });
        }
        if let Some(taken) = exports.iter().find(|export| ADDED.contains(&export.name)) {
            return Err(PrepareError::Taken(taken.name.to_owned()));
        }
        for wanted in &INTERFACE {
            let export = exports.iter().find(|export| export.name == wanted.name);
            if export.is_none() && wanted.name == OPTIONS {
                continue;
            }
            let index = export
                .filter(|export| export.kind == ExternalKind::Func)
                .map(|export| export.index)
                .filter(|&index| {
                    let ty = &self.types[self.functions[index as usize] as usize];
                    ty.params() == wanted.parameters && ty.results() == wanted.results
                })
                .ok_or(PrepareError::Export { name: wanted.name, signature: wanted.signature })?;
            self.interface.push(index);
        }
        Ok(())
    }
}
