//! The tree of a plan. DataFusion draws it, but only of ASCII characters: it counts characters and cuts texts at as many bytes,
//! which panics within a character. So it draws stand-ins for others, which are replaced in the drawing.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use datafusion::physical_plan::{DisplayFormatType, ExecutionPlan, displayable};
use unicode_width::UnicodeWidthChar;

use super::display_node::DisplayNode;

/// The characters that stand for others, none of which texts have on a terminal.
const STAND_INS: [u8; 28] =
    [1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31];

/// Stands behind a character that takes two places.
const FILLER: char = '\u{7f}';

/// The character for control characters, and for what no stand-in is left for.
const UNKNOWN: char = '?';

/// A plan as boxes with lines between them, at most `width` characters wide; 0 is no limit. Texts that are longer than a box is wide
/// are wrapped, and cut after 30 lines.
pub fn plan_tree(plan: &dyn ExecutionPlan, width: usize) -> String {
    let mut stand_ins = StandIns::default();
    let node = stand_ins.node(plan);
    let drawn = displayable(node.as_ref()).set_tree_maximum_render_width(width).tree_render().to_string();
    stand_ins.restore(&drawn)
}

/// The characters of a plan that are not ASCII, each with what stands for it.
#[derive(Default)]
struct StandIns(HashMap<char, char>);

impl StandIns {
    /// The plan for display, with stand-ins in all texts.
    fn node(&mut self, plan: &dyn ExecutionPlan) -> Arc<dyn ExecutionPlan> {
        let inputs = plan.children().into_iter().map(|child| self.node(child.as_ref())).collect();
        let node = DisplayNode::new(self.replace(plan.name()));
        Arc::new(node.with_tree_lines(self.replace(&TreeLines(plan).to_string())).with_inputs(inputs))
    }

    fn replace(&mut self, text: &str) -> String {
        let mut replaced = String::with_capacity(text.len());
        for character in text.chars() {
            if character == '\n' || character == ' ' || character.is_ascii_graphic() {
                replaced.push(character);
                continue;
            }
            let next = STAND_INS.get(self.0.len()).map(|byte| char::from(*byte));
            let stand_in = match (self.0.get(&character), next) {
                (Some(known), _) => *known,
                (None, Some(next)) if !character.is_control() => {
                    self.0.insert(character, next);
                    next
                }
                _ => UNKNOWN,
            };
            replaced.push(stand_in);
            if stand_in != UNKNOWN && character.width() == Some(2) {
                replaced.push(FILLER);
            }
        }
        replaced
    }

    fn restore(&self, drawn: &str) -> String {
        let characters: HashMap<char, char> =
            self.0.iter().map(|(character, stand_in)| (*stand_in, *character)).collect();
        let drawn = drawn.chars().filter(|character| *character != FILLER);
        drawn.map(|character| characters.get(&character).copied().unwrap_or(character)).collect()
    }
}

/// What stands below the name of an operator.
struct TreeLines<'a>(&'a dyn ExecutionPlan);

impl fmt::Display for TreeLines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt_as(DisplayFormatType::TreeRender, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_keep_their_width_with_any_text() {
        let names = [
            "größe",
            "数据库表数据库表数据库表数据库表数据库表",
            "🦀 = 'é'",
            "\u{1b}[31m",
            &"x + ".repeat(500),
        ];
        for name in names {
            let leaf: Arc<dyn ExecutionPlan> =
                Arc::new(DisplayNode::new("Leaf").with_tree_lines(format!("{name}\nk={name}")));
            let root = DisplayNode::new("Root").with_inputs(vec![leaf]);
            let drawn = plan_tree(&root, 0);
            for line in drawn.lines() {
                assert_eq!(
                    line.chars().map(|c| c.width().unwrap_or(0)).sum::<usize>(),
                    29,
                    "{line}\n{drawn}"
                );
            }
        }
        let many: String = ('α'..='ω').chain('а'..='я').collect();
        let drawn = plan_tree(&DisplayNode::new("Root").with_tree_lines(many), 0);
        assert!(drawn.contains("αβγδεζηθικλμνξοπρςστυφχψω"), "{drawn}");
        assert!(drawn.contains('?'), "{drawn}");
    }
}
