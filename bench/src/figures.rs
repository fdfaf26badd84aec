//! What was measured: a line each for people, and all of it as JSON.

use serde_json::{Map, Value, json};
use std::path::Path;

/// What a figure must be.
#[derive(Clone, Copy)]
pub enum Budget {
    AtLeast(f64),
    AtMost(f64),
    /// Reported beside another one.
    None,
}

impl Budget {
    fn holds(self, value: f64) -> Option<bool> {
        match self {
            Self::AtLeast(least) => Some(value >= least),
            Self::AtMost(most) => Some(value <= most),
            Self::None => None,
        }
    }

    fn text(self) -> String {
        match self {
            Self::AtLeast(least) => format!("at least {least}"),
            Self::AtMost(most) => format!("at most {most}"),
            Self::None => String::new(),
        }
    }
}

/// All figures of a run.
pub struct Report {
    quick: bool,
    figures: Vec<Value>,
}

impl Report {
    pub fn new(quick: bool) -> Self {
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        println!("{cores} cores, shared by clients and servers; medians of rounds, lowest and highest in brackets\n");
        Self { quick, figures: Vec::new() }
    }

    /// A title above the figures that follow.
    pub fn title(&self, text: &str) {
        println!("{text}");
    }

    /// One figure from its rounds; `facts` go to the JSON, the texts also to the line.
    pub fn add(&mut self, name: &str, unit: &str, rounds: &[f64], budget: Budget, facts: Value) {
        let value = median(rounds);
        let (low, high) = range(rounds);
        let verdict = match budget.holds(value) {
            Some(true) => "holds",
            Some(false) => "FALLS SHORT",
            None => "",
        };
        let spread = if rounds.len() > 1 { format!("[{} … {}]", short(low), short(high)) } else { String::new() };
        println!("  {name:<44} {:>9} {unit:<8} {spread:<21} {:<14} {verdict}", short(value), budget.text());
        let mut figure = json!({
            "name": name, "unit": unit, "value": value, "lowest": low, "highest": high, "rounds": rounds.len(),
        });
        let members = figure.as_object_mut().expect("made as an object above");
        match budget {
            Budget::AtLeast(least) => _ = members.insert("at_least".into(), least.into()),
            Budget::AtMost(most) => _ = members.insert("at_most".into(), most.into()),
            Budget::None => {}
        }
        if let Some(holds) = budget.holds(value) {
            members.insert("holds".into(), holds.into());
        }
        if let Value::Object(facts) = facts {
            let told: Vec<_> = facts.iter().map(|(key, fact)| format!("{key} {}", fact_text(fact))).collect();
            if !told.is_empty() {
                println!("      {}", told.join(", "));
            }
            members.extend(facts);
        }
        self.figures.push(figure);
    }

    /// Writes the JSON.
    pub fn write(self, file: &Path) -> anyhow::Result<()> {
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut all = Map::new();
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        all.insert("quick".into(), self.quick.into());
        all.insert("cores".into(), cores.into());
        all.insert("figures".into(), self.figures.into());
        std::fs::write(file, format!("{:#}\n", Value::Object(all)))?;
        println!("\nwritten to {}", file.display());
        Ok(())
    }
}

fn fact_text(fact: &Value) -> String {
    match fact {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.as_f64().map_or_else(|| number.to_string(), short),
        other => other.to_string(),
    }
}

fn short(number: f64) -> String {
    let places = if number.abs() >= 100.0 { 0 } else { 2 };
    format!("{number:.places$}")
}

/// The middle one, or the mean of the two in the middle.
pub fn median(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

fn range(numbers: &[f64]) -> (f64, f64) {
    numbers.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), n| (low.min(*n), high.max(*n)))
}
