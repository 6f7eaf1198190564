//! Logical operations of Booleans that are never null: of mask words.

use warpframe_ir::instruction::Instruction;

use crate::block::Arguments;
use crate::dispatch::{BoundLoop, DetectedPath, Loop, bind};
use crate::lanes::InstructionSet;

/// The loop of a logical instruction whose operands are never null; `None` for other instructions.
pub fn logical(path: DetectedPath, instruction: &Instruction) -> Option<BoundLoop> {
    macro_rules! bind_words {
        (|$($operand:ident $index:literal),+| $word:expr) => {{
            struct Words;
            impl Loop for Words {
                #[inline(always)]
                unsafe fn run<S: InstructionSet>(arguments: &Arguments<'_>) {
                    // SAFETY: the operands and the result are Booleans.
                    let target = unsafe { arguments.target_words() };
                    $(
                        // SAFETY: as above. The slice is as long as the target.
                        let $operand = unsafe { &arguments.words($index)[..target.len()] };
                    )+
                    for (word, target) in target.iter_mut().enumerate() {
                        $(let $operand = $operand[word];)+
                        *target = $word;
                    }
                }
            }
            Some(bind::<Words>(path))
        }};
    }
    match instruction {
        Instruction::Not(_) => bind_words!(|x 0| !x),
        Instruction::And(..) => bind_words!(|x 0, y 1| x & y),
        Instruction::Or(..) => bind_words!(|x 0, y 1| x | y),
        Instruction::Select(..) => bind_words!(|condition 0, yes 1, no 2| condition & yes | !condition & no),
        _ => None,
    }
}
