//! Which operations can make a NaN, and what makes it canonical.

use wasm_encoder::{Function, Ieee32, Ieee64, Instruction};
use wasmparser::Operator;

/// The kinds of results that may be NaN.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Float {
    F32,
    F64,
    F32x4,
    F64x2,
}

impl Float {
    /// Which local holds such a value for a moment: of `f32`, `f64` and `v128` the first, second or third.
    pub(super) fn local(self) -> usize {
        match self {
            Self::F32 => 0,
            Self::F64 => 1,
            Self::F32x4 | Self::F64x2 => 2,
        }
    }
}

const CANONICAL_F32: u32 = 0x7fc0_0000;
const CANONICAL_F64: u64 = 0x7ff8_0000_0000_0000;

/// What an operation may make a NaN of, if it may. Loads, moves, `abs`, `neg`, `copysign`, `pmin` and `pmax` pass
/// bits on, which is the same everywhere.
pub(super) fn made_by(operator: &Operator<'_>) -> Option<Float> {
    use Operator as O;
    Some(match operator {
        O::F32Add
        | O::F32Sub
        | O::F32Mul
        | O::F32Div
        | O::F32Sqrt
        | O::F32Min
        | O::F32Max
        | O::F32Ceil
        | O::F32Floor
        | O::F32Trunc
        | O::F32Nearest
        | O::F32DemoteF64 => Float::F32,
        O::F64Add
        | O::F64Sub
        | O::F64Mul
        | O::F64Div
        | O::F64Sqrt
        | O::F64Min
        | O::F64Max
        | O::F64Ceil
        | O::F64Floor
        | O::F64Trunc
        | O::F64Nearest
        | O::F64PromoteF32 => Float::F64,
        O::F32x4Add
        | O::F32x4Sub
        | O::F32x4Mul
        | O::F32x4Div
        | O::F32x4Sqrt
        | O::F32x4Min
        | O::F32x4Max
        | O::F32x4Ceil
        | O::F32x4Floor
        | O::F32x4Trunc
        | O::F32x4Nearest
        | O::F32x4DemoteF64x2Zero => Float::F32x4,
        O::F64x2Add
        | O::F64x2Sub
        | O::F64x2Mul
        | O::F64x2Div
        | O::F64x2Sqrt
        | O::F64x2Min
        | O::F64x2Max
        | O::F64x2Ceil
        | O::F64x2Floor
        | O::F64x2Trunc
        | O::F64x2Nearest
        | O::F64x2PromoteLowF32x4 => Float::F64x2,
        _ => return None,
    })
}

/// Emits what makes the operand on the stack canonical, by way of a local of its type.
pub(super) fn canonicalise(function: &mut Function, float: Float, local: u32) {
    function.instruction(&Instruction::LocalTee(local));
    let canonical = match float {
        Float::F32 => Instruction::F32Const(Ieee32::new(CANONICAL_F32)),
        Float::F64 => Instruction::F64Const(Ieee64::new(CANONICAL_F64)),
        Float::F32x4 => {
            let lane = u128::from(CANONICAL_F32);
            v128(lane | lane << 32 | lane << 64 | lane << 96)
        }
        Float::F64x2 => {
            let lane = u128::from(CANONICAL_F64);
            v128(lane | lane << 64)
        }
    };
    let (equal, choose) = match float {
        Float::F32 => (Instruction::F32Eq, Instruction::Select),
        Float::F64 => (Instruction::F64Eq, Instruction::Select),
        Float::F32x4 => (Instruction::F32x4Eq, Instruction::V128Bitselect),
        Float::F64x2 => (Instruction::F64x2Eq, Instruction::V128Bitselect),
    };
    function.instruction(&canonical);
    function.instruction(&Instruction::LocalGet(local));
    function.instruction(&Instruction::LocalGet(local));
    function.instruction(&equal);
    function.instruction(&choose);
}

/// A `v128.const`, by its bits.
fn v128(bits: u128) -> Instruction<'static> {
    Instruction::V128Const(bits.cast_signed())
}
