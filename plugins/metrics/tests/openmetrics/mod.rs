//! A strict reader of the text format of OpenMetrics 1.0: what it takes, others take.

use std::collections::BTreeMap;

/// A family: its type, and its samples in order.
#[derive(Debug, Default)]
pub(crate) struct Family {
    pub(crate) kind: String,
    pub(crate) help: String,
    pub(crate) unit: String,
    pub(crate) samples: Vec<Sample>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: f64,
}

/// Reads a whole exposition, and checks all that the specification demands of what is used here.
pub(crate) fn parse(text: &str) -> Result<BTreeMap<String, Family>, String> {
    let body = text.strip_suffix("# EOF\n").ok_or("it does not end in '# EOF'")?;
    if !body.is_empty() && !body.ends_with('\n') {
        return Err("the last line before '# EOF' has no end".into());
    }
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut current = String::new();
    for line in body.lines() {
        let fail = |why: &str| Err(format!("{why}: {line}"));
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.splitn(3, ' ');
            let (Some(what), Some(name), Some(rest)) = (words.next(), words.next(), words.next()) else {
                return fail("a comment that says nothing");
            };
            if !is_name(name) {
                return fail("no name of a metric");
            }
            if name != current {
                if families.contains_key(name) {
                    return fail("a family comes twice");
                }
                families.insert(name.to_owned(), Family::default());
                name.clone_into(&mut current);
            }
            let family = families.get_mut(name).ok_or("no family")?;
            if !family.samples.is_empty() {
                return fail("it comes after samples");
            }
            let place = match what {
                "HELP" => &mut family.help,
                "TYPE" => &mut family.kind,
                "UNIT" => &mut family.unit,
                _ => return fail("neither HELP, TYPE, UNIT nor EOF"),
            };
            if !place.is_empty() {
                return fail("said twice");
            }
            rest.clone_into(place);
            if what == "UNIT" && !name.ends_with(&format!("_{rest}")) {
                return fail("the name does not end in the unit");
            }
        } else {
            let sample = sample(line).ok_or_else(|| format!("no sample: {line}"))?;
            let family = families.get_mut(&current).ok_or("a sample before all families")?;
            let suffix = sample.name.strip_prefix(&current);
            let suffixes: &[&str] = match family.kind.as_str() {
                "counter" => &["_total"],
                "gauge" => &[""],
                "info" => &["_info"],
                "histogram" => &["_bucket", "_count", "_sum"],
                _ => return fail("the family has no type"),
            };
            if !suffix.is_some_and(|suffix| suffixes.contains(&suffix)) {
                return fail("the sample is not of this family");
            }
            if family.kind != "gauge" && !(sample.value.is_finite() && sample.value >= 0.0) {
                return fail("counts are finite and not negative");
            }
            if family.kind == "info" && sample.value != 1.0 {
                return fail("an info is 1");
            }
            if sample.labels.contains_key("le") != sample.name.ends_with("_bucket") {
                return fail("buckets have a bound, others do not");
            }
            let same = |it: &&Sample| it.name == sample.name && it.labels == sample.labels;
            if family.samples.iter().any(|it| same(&it)) {
                return fail("the same sample twice");
            }
            family.samples.push(sample);
        }
    }
    for (name, family) in &families {
        if family.kind.is_empty() || family.help.is_empty() {
            return Err(format!("{name} lacks a type or a help"));
        }
        if family.kind == "histogram" {
            histograms(family).map_err(|why| format!("{name}: {why}"))?;
        }
    }
    Ok(families)
}

/// Buckets are cumulated, by ascending bounds, and the last has all.
fn histograms(family: &Family) -> Result<(), String> {
    let mut groups: BTreeMap<BTreeMap<String, String>, Vec<&Sample>> = BTreeMap::new();
    for sample in &family.samples {
        let mut labels = sample.labels.clone();
        labels.remove("le");
        groups.entry(labels).or_default().push(sample);
    }
    for (labels, samples) in groups {
        let of = |suffix: &str| {
            samples
                .iter()
                .filter(|it| it.name.ends_with(suffix))
                .collect::<Vec<_>>()
        };
        let (buckets, counts, sums) = (of("_bucket"), of("_count"), of("_sum"));
        let ([count], [sum]) = (&counts[..], &sums[..]) else {
            return Err(format!("not one count and one sum of {labels:?}"));
        };
        let pairs: Vec<(f64, f64)> = buckets
            .iter()
            .map(|it| (number(&it.labels["le"]).unwrap_or(f64::NAN), it.value))
            .collect();
        let ascending = pairs
            .windows(2)
            .all(|two| two[0].0 < two[1].0 && two[0].1 <= two[1].1);
        let complete = pairs.last() == Some(&(f64::INFINITY, count.value));
        if !ascending || !complete || (count.value == 0.0) != (sum.value == 0.0) {
            return Err(format!("{labels:?}: {pairs:?}, {} in all", count.value));
        }
    }
    Ok(())
}

/// `name{label="value",...} number`, with one space, no timestamp, no exemplar.
fn sample(line: &str) -> Option<Sample> {
    let end = line.find(['{', ' '])?;
    let (name, rest) = line.split_at(end);
    let (labels, value) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (BTreeMap::new(), rest),
    };
    let value = number(value.strip_prefix(' ')?)?;
    is_name(name).then(|| Sample {
        name: name.to_owned(),
        labels,
        value,
    })
}

fn labels(mut rest: &str) -> Option<(BTreeMap<String, String>, &str)> {
    let mut labels = BTreeMap::new();
    loop {
        let (label, after) = rest.split_once("=\"")?;
        let (mut value, mut chars) = (String::new(), after.char_indices());
        let end = loop {
            match chars.next()? {
                (at, '"') => break at,
                (_, '\\') => value.push(match chars.next()?.1 {
                    'n' => '\n',
                    escaped @ ('\\' | '"') => escaped,
                    _ => return None,
                }),
                (_, char) => value.push(char),
            }
        };
        if !is_name(label) || label.contains(':') || labels.insert(label.to_owned(), value).is_some() {
            return None;
        }
        rest = &after[end + 1..];
        match rest.split_at_checked(1)? {
            (",", more) => rest = more,
            ("}", value) => return Some((labels, value)),
            _ => return None,
        }
    }
}

fn is_name(text: &str) -> bool {
    let valid = |char: char| char.is_ascii_alphanumeric() || char == '_' || char == ':';
    text.starts_with(|char: char| valid(char) && !char.is_ascii_digit()) && text.chars().all(valid)
}

fn number(text: &str) -> Option<f64> {
    match text {
        "+Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        "NaN" => Some(f64::NAN),
        _ if text.starts_with(|char: char| char.is_ascii_digit() || char == '-') => text.parse().ok(),
        _ => None,
    }
}

#[test]
fn what_is_not_openmetrics_is_refused() {
    let good = "# HELP a b\n# TYPE a counter\na_total{x=\"1\"} 1\n# EOF\n";
    assert!(parse(good).is_ok());
    for (from, to) in [
        ("# EOF\n", ""),
        ("# EOF\n", "# EOF\n\n"),
        ("a_total", "a"),
        ("} 1\n", "} 1\na_total{x=\"1\"} 2\n"),
        ("} 1\n", "} 1\n# HELP a b\n"),
        ("} 1\n", "}  1\n"),
        ("} 1\n", "} -1\n"),
        ("} 1\n", "} 1 \n"),
        ("} 1\n", "} 1\n\n"),
        ("x=\"1\"", "x=\"1\",x=\"2\""),
        ("x=\"1\"", "x=\"\\q\""),
        ("x=\"1\"", "1x=\"1\""),
        ("x=\"1\"", "le=\"1\""),
        ("# TYPE a counter\n", ""),
        ("# TYPE a counter\n", "# TYPE a counter\n# UNIT a bytes\n"),
        ("# TYPE", "#TYPE"),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good);
        assert!(parse(&bad).is_err(), "{bad}");
    }
}
