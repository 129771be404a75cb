//! Makes a failing world small: delta debugging over its operations (Zeller and
//! Hildebrandt, "Simplifying and Isolating Failure-Inducing Input"), then smaller
//! numbers wherever they stand.

use serde_json::Value;

use super::course;
use super::plan::Plan;
use super::witness::Broken;

/// Runs a shrinker may take.
const RUNS: usize = 1500;

/// The smallest plan found that breaks the same rule, and how it does.
pub(super) fn shrink(plan: &Plan, broken: Broken) -> (Plan, Broken) {
    let mut shrinker = Shrinker {
        plan: plan.clone(),
        broken,
        runs: 0,
    };
    loop {
        let before = shrinker.plan.clone();
        shrinker.drop_steps();
        shrinker.simplify_numbers();
        if shrinker.plan == before || shrinker.runs >= RUNS {
            return (shrinker.plan, shrinker.broken);
        }
    }
}

struct Shrinker {
    plan: Plan,
    broken: Broken,
    runs: usize,
}

impl Shrinker {
    /// Keeps a plan that breaks the same rule.
    fn accept(&mut self, plan: Plan) -> bool {
        if self.runs >= RUNS || plan == self.plan {
            return false;
        }
        self.runs += 1;
        match course::run(&plan) {
            Err(broken) if broken.rule == self.broken.rule => {
                (self.plan, self.broken) = (plan, broken);
                true
            }
            _ => false,
        }
    }

    /// Drops ever smaller runs of operations as long as that helps.
    fn drop_steps(&mut self) {
        let mut size = self.plan.steps.len().div_ceil(2);
        while size > 0 {
            let mut start = 0;
            while start < self.plan.steps.len() {
                let mut plan = self.plan.clone();
                let end = (start + size).min(plan.steps.len());
                plan.steps.drain(start..end);
                if !self.accept(plan) {
                    start += size;
                }
            }
            size /= 2;
        }
    }

    /// Tries zero, then half, for each number, and false for each truth. The seed
    /// of the faults is among them.
    fn simplify_numbers(&mut self) {
        let mut place = 0;
        loop {
            let document = serde_json::to_value(&self.plan).expect("a plan is plain data");
            let mut leaves = Vec::new();
            collect(&document, String::new(), &mut leaves);
            let Some(pointer) = leaves.get(place) else {
                return;
            };
            place += 1;
            while let Some(smaller) = self.smaller(&document, pointer) {
                if !self.accept(smaller) {
                    break;
                }
            }
            self.halve(pointer);
        }
    }

    /// The plan with zero, or false, at this place.
    fn smaller(&self, document: &Value, pointer: &str) -> Option<Plan> {
        let mut document = document.clone();
        let leaf = document.pointer_mut(pointer)?;
        *leaf = match leaf {
            Value::Bool(true) => Value::Bool(false),
            Value::Number(n) if n.as_i64() != Some(0) => 0.into(),
            _ => return None,
        };
        let plan = serde_json::from_value(document).ok()?;
        (plan != self.plan).then_some(plan)
    }

    fn halve(&mut self, pointer: &str) {
        loop {
            let mut document = serde_json::to_value(&self.plan).expect("a plan is plain data");
            let Some(leaf) = document.pointer_mut(pointer) else {
                return;
            };
            let Some(value) = leaf.as_i64().filter(|value| value.abs() > 1) else {
                return;
            };
            *leaf = (value / 2).into();
            let Ok(plan) = serde_json::from_value(document) else {
                return;
            };
            if !self.accept(plan) {
                return;
            }
        }
    }
}

/// Pointers (RFC 6901) to every number and truth.
fn collect(value: &Value, pointer: String, leaves: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                collect(member, format!("{pointer}/{name}"), leaves);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                collect(item, format!("{pointer}/{index}"), leaves);
            }
        }
        Value::Bool(_) | Value::Number(_) => leaves.push(pointer),
        _ => {}
    }
}

/// A plan as text: one operation a line, what is zero left out.
pub(super) fn show(plan: &Plan) -> String {
    let text = |value: &Value| serde_json::to_string(value).expect("a plan is plain data");
    let mut document = serde_json::to_value(plan).expect("a plan is plain data");
    strip(&mut document["terms"]);
    let mut lines = Vec::new();
    for step in document["steps"].as_array_mut().into_iter().flatten() {
        for part in ["source", "link", "terms"] {
            let operation = step["op"].as_object_mut();
            for (_, fields) in operation.into_iter().flatten() {
                if let Some(part) = fields.get_mut(part) {
                    strip(part);
                }
            }
        }
        lines.push(format!("  {}", text(step)));
    }
    let (seed, terms) = (plan.seed, text(&document["terms"]));
    let steps = lines.join(",\n");
    format!("{{\"seed\":{seed},\n\"terms\":{terms},\n\"steps\":[\n{steps}\n]}}")
}

fn strip(value: &mut Value) {
    if let Value::Object(members) = value {
        members.values_mut().for_each(strip);
        members.retain(|_, member| match member {
            Value::Number(n) => n.as_i64() != Some(0),
            Value::Bool(set) => *set,
            Value::Object(inner) => !inner.is_empty(),
            _ => true,
        });
    }
}
