//! Rewrites one function's body: counters, pages and NaNs.

use wasm_encoder::reencode::{Reencode, RoundtripReencoder};
use wasm_encoder::{BlockType, Function, Instruction, ValType};
use wasmparser::Operator;

use super::emit::Added;
use super::interface::{FAULT_OUT_OF_FUEL, FAULT_TOO_DEEP};
use super::nan;
use super::source::Body;
use super::{MAX_STACK_SLOTS, PrepareError};

/// What a call puts on the stack beside locals and operands, in slots: return address, saved registers.
const CALL_SLOTS: u32 = 16;

/// What a line in the log costs: at most 5,000 in one call, since a browser writes them to its console.
const LOG_COST: u32 = 10_000;

/// A function that calls none and needs no more than this is not counted: the margin holds one such frame.
const UNCOUNTED_SLOTS: u32 = 64;

/// Locals that the rewriting adds behind the function's own, one of each type that it needs.
struct Scratch {
    declared: Vec<(u32, ValType)>,
    next: u32,
}

impl Scratch {
    /// A local of a type, or `None` where the body has no use for one.
    fn add(&mut self, ty: ValType, needed: bool) -> Option<u32> {
        if !needed {
            return None;
        }
        self.declared.push((1, ty));
        self.next += 1;
        Some(self.next - 1)
    }
}

/// Rewrites a body whose function gives back `result`.
pub(super) fn rewrite(source: &Body<'_>, result: BlockType, added: &Added) -> Result<Function, PrepareError> {
    let mut reencoder = RoundtripReencoder;
    let mut scratch = Scratch { declared: Vec::new(), next: source.locals };
    for locals in source.body.get_locals_reader()? {
        let (count, ty) = locals?;
        scratch.declared.push((count, reencoder.val_type(ty)?));
    }
    let count = scratch.add(ValType::I32, source.needs.count);
    let floats = [ValType::F32, ValType::F64, ValType::V128];
    let floats = [0, 1, 2].map(|kind| scratch.add(floats[kind], source.needs.floats[kind]));
    let mut function = Function::new(scratch.declared);

    let mut costs = loop_costs(source, added)?.into_iter();
    charge_fuel(&mut function, added, costs.next().unwrap_or(1));
    let slots = scratch.next + source.height + CALL_SLOTS;
    let counted = source.calls || slots > UNCOUNTED_SLOTS;
    if counted {
        charge_stack(&mut function, added, slots);
    }
    // Every way out of the function leads out of this block, and past the refund.
    function.instruction(&Instruction::Block(result));

    let mut depth = 0_u32;
    let mut operators = source.body.get_operators_reader()?;
    while !operators.eof() {
        let operator = operators.read()?;
        match operator {
            Operator::Return => {
                function.instruction(&Instruction::Br(depth));
            }
            Operator::MemorySize { .. } => {
                function.instruction(&Instruction::GlobalGet(added.pages));
            }
            Operator::MemoryGrow { .. } => {
                function.instruction(&Instruction::Call(added.grow));
            }
            Operator::MemoryCopy { .. } | Operator::MemoryFill { .. } => {
                if let Some(count) = count {
                    function.instruction(&Instruction::LocalTee(count));
                    function.instruction(&Instruction::LocalGet(count));
                    function.instruction(&Instruction::Call(added.charge));
                }
                function.instruction(&reencoder.instruction(operator)?);
            }
            Operator::Loop { .. } => {
                depth += 1;
                function.instruction(&reencoder.instruction(operator)?);
                charge_fuel(&mut function, added, costs.next().unwrap_or(1));
            }
            Operator::Block { .. } | Operator::If { .. } => {
                depth += 1;
                function.instruction(&reencoder.instruction(operator)?);
            }
            Operator::End => {
                // The last one ends our block.
                depth = depth.saturating_sub(1);
                function.instruction(&Instruction::End);
            }
            operator => {
                let made = nan::made_by(&operator);
                function.instruction(&reencoder.instruction(operator)?);
                if let Some((float, local)) = made.and_then(|float| Some((float, floats[float.local()]?))) {
                    nan::canonicalise(&mut function, float, local);
                }
            }
        }
    }
    if counted {
        add_to(&mut function, added.depth, -slots.cast_signed());
    }
    function.instruction(&Instruction::End);
    Ok(function)
}

/// How many instructions the function has outside its loops, then how many each loop has outside its own, in the
/// order in which they begin.
fn loop_costs(source: &Body<'_>, added: &Added) -> Result<Vec<u32>, PrepareError> {
    let mut costs = vec![1_u32];
    let mut enclosing = vec![0_usize];
    for operator in source.body.get_operators_reader()? {
        let innermost = enclosing.last().copied().unwrap_or(0);
        costs[innermost] += 1;
        match operator? {
            Operator::Call { function_index } if function_index < added.imported => {
                costs[innermost] += LOG_COST;
            }
            Operator::Loop { .. } => {
                enclosing.push(costs.len());
                costs.push(1);
            }
            Operator::Block { .. } | Operator::If { .. } => enclosing.push(innermost),
            Operator::End => {
                enclosing.pop();
            }
            _ => {}
        }
    }
    Ok(costs)
}

fn add_to(function: &mut Function, global: u32, amount: i32) {
    function.instruction(&Instruction::GlobalGet(global));
    function.instruction(&Instruction::I32Const(amount));
    function.instruction(&Instruction::I32Add);
    function.instruction(&Instruction::GlobalSet(global));
}

fn charge_fuel(function: &mut Function, added: &Added, cost: u32) {
    add_to(function, added.fuel, -cost.cast_signed());
    function.instruction(&Instruction::GlobalGet(added.fuel));
    function.instruction(&Instruction::I32Const(0));
    function.instruction(&Instruction::I32LtS);
    fault_if(function, added, FAULT_OUT_OF_FUEL);
}

fn charge_stack(function: &mut Function, added: &Added, slots: u32) {
    add_to(function, added.depth, slots.cast_signed());
    function.instruction(&Instruction::GlobalGet(added.depth));
    function.instruction(&Instruction::I32Const(MAX_STACK_SLOTS));
    function.instruction(&Instruction::I32GtU);
    fault_if(function, added, FAULT_TOO_DEEP);
}

/// Traps if the operand on the stack is not 0, saying why.
pub(super) fn fault_if(function: &mut Function, added: &Added, fault: i32) {
    function.instruction(&Instruction::If(BlockType::Empty));
    function.instruction(&Instruction::I32Const(fault));
    function.instruction(&Instruction::GlobalSet(added.fault));
    function.instruction(&Instruction::Unreachable);
    function.instruction(&Instruction::End);
}
