//! Where modes of warpframe are slower than external tools, as sentences.

use super::report::{CaseReport, SuiteTool, groups};
use crate::compare::mode::Mode;
use crate::compare::report::Status;

/// For each kind of result and condition: the formulas in which an external tool is faster than `parallel`, and than `vectorized`
/// among tools of one thread, and than NumPy arrays in warpframe's Python package, with the fastest tool and the factor.
pub(super) fn findings(tools: &[SuiteTool], cases: &[CaseReport]) -> Vec<String> {
    let external = tools.iter().filter(|tool| tool.is_external && tool.status == Status::Ok);
    let external: Vec<_> = external.collect();
    let mut findings = Vec::new();
    let modes = [(Mode::Parallel.name(), false), (Mode::Vectorized.name(), true), ("warpframe-numpy", false)];
    for (mode, one_thread) in modes {
        let others: Vec<_> = external.iter().filter(|tool| !one_thread || tool.threads == 1).collect();
        let others: Vec<&str> = others.iter().map(|tool| tool.name.as_str()).collect();
        if !others.is_empty() && tools.iter().any(|tool| tool.name == mode) {
            findings
                .extend(groups(cases).iter().filter_map(|group| finding(mode, one_thread, &others, group)));
        }
    }
    findings
}

/// The finding about a mode and other tools in a group of cases; `None` if the mode has no time.
fn finding(mode: &str, one_thread: bool, others: &[&str], group: &[&CaseReport]) -> Option<String> {
    let (mut slower, mut ratios) = (Vec::new(), Vec::new());
    for case in group {
        let Some(own) = case.median_of(mode) else { continue };
        let times = others.iter().filter_map(|tool| Some((*tool, case.median_of(tool)?)));
        let mut times: Vec<_> = times.collect();
        times.sort_by(|one, other| one.1.total_cmp(&other.1));
        let Some((fastest, best)) = times.first() else { continue };
        ratios.push(best / own);
        let faster = times.iter().filter(|(_, time)| *time < own).count();
        let more = match faster.saturating_sub(1) {
            0 => String::new(),
            1 => " and another tool".to_owned(),
            more => format!(" and {more} other tools"),
        };
        if faster > 0 {
            slower.push(format!("{} than `{fastest}` ({:.2}×){more}", case.formula, own / best));
        }
    }
    let mean = geometric_mean(&ratios)?;
    let whose = if one_thread { "tools of one thread" } else { "external tools" };
    let what = capitalized(&group.first()?.describe());
    let formulas = ratios.len();
    let compared = format!("the fastest of the {whose} takes {mean:.2} times as long in the geometric mean");
    Some(match slower.is_empty() {
        true => format!(
            "{what}: `{mode}` is faster than all {whose} in {formulas} of {formulas} formulas; {compared}."
        ),
        false => format!(
            "{what}: `{mode}` is faster than all {whose} in {} of {formulas} formulas; {compared}. It is slower in {}.",
            formulas - slower.len(),
            slower.join("; in ")
        ),
    })
}

/// The geometric mean; `None` of no numbers.
pub fn geometric_mean(numbers: &[f64]) -> Option<f64> {
    let logarithms = numbers.iter().map(|number| number.ln());
    (!numbers.is_empty()).then(|| (logarithms.sum::<f64>() / numbers.len() as f64).exp())
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::suite::Measurement;

    fn tool(name: &str, threads: usize, is_external: bool) -> SuiteTool {
        SuiteTool {
            name: name.to_owned(),
            description: String::new(),
            is_external,
            threads,
            version: None,
            status: Status::Ok,
            reason: None,
        }
    }

    fn case(formula: &str, result: &str, times: &[(&str, f64)]) -> CaseReport {
        let measurements = times.iter().map(|(tool, time)| Measurement {
            median_ms: Some(*time),
            reason: None,
            ..Measurement::without_time(tool, Status::Ok, String::new())
        });
        CaseReport {
            formula: formula.to_owned(),
            expression: String::new(),
            result: result.to_owned(),
            keep_percent: if result == "sum" { 10 } else { 100 },
            filter: None,
            rows: 1,
            measurements: measurements.collect(),
        }
    }

    #[test]
    fn findings_name_the_formula_the_tool_and_the_factor() {
        let tools = [
            tool("vectorized", 1, false),
            tool("parallel", 2, false),
            tool("numpy", 1, true),
            tool("jax", 2, true),
        ];
        let cases = [
            case("a", "collect", &[("parallel", 2.0), ("vectorized", 4.0), ("numpy", 8.0), ("jax", 1.0)]),
            case("b", "collect", &[("parallel", 1.0), ("vectorized", 2.0), ("numpy", 9.0), ("jax", 8.0)]),
            case("a", "sum", &[("parallel", 3.0), ("vectorized", 6.0), ("numpy", 2.0), ("jax", 2.5)]),
        ];
        assert_eq!(
            findings(&tools, &cases),
            [
                "All rows, to arrays: `parallel` is faster than all external tools in 1 of 2 formulas; the fastest of the \
                 external tools takes 2.00 times as long in the geometric mean. It is slower in a than `jax` (2.00×).",
                "10 % of the rows, to their sum: `parallel` is faster than all external tools in 0 of 1 formulas; the fastest \
                 of the external tools takes 0.67 times as long in the geometric mean. It is slower in a than `numpy` (1.50×) and another tool.",
                "All rows, to arrays: `vectorized` is faster than all tools of one thread in 2 of 2 formulas; the fastest of \
                 the tools of one thread takes 3.00 times as long in the geometric mean.",
                "10 % of the rows, to their sum: `vectorized` is faster than all tools of one thread in 0 of 1 formulas; the \
                 fastest of the tools of one thread takes 0.33 times as long in the geometric mean. It is slower in a than \
                 `numpy` (3.00×).",
            ]
        );
        assert!(findings(&tools[1..], &cases[..0]).is_empty());
    }
}
