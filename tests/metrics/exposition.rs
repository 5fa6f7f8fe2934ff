//! Prometheus' text format, version 0.0.4, read strictly: what the format only recommends, such as
//! a help and a type for each metric, is demanded.

use std::collections::{BTreeMap, BTreeSet};

/// Everything of one scrape, by the metrics' names.
#[derive(Debug)]
pub struct Scrape(BTreeMap<String, Family>);

/// A metric with all its series.
#[derive(Debug)]
pub struct Family {
    pub kind: Kind,
    pub help: String,
    pub samples: Vec<Sample>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// One line with a value.
#[derive(Debug, PartialEq)]
pub struct Sample {
    /// The metric's name, or with `_bucket`, `_sum` or `_count` behind it.
    pub name: String,
    pub labels: Labels,
    pub value: f64,
}

pub type Labels = BTreeMap<String, String>;

impl Scrape {
    /// Reads a whole scrape, or says which line is wrong and why.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut reader = Reader::default();
        if !text.ends_with('\n') {
            return Err("the last line has no end".to_owned());
        }
        for (number, line) in (1..).zip(text.lines()) {
            reader.line(line).map_err(|reason| format!("line {number}, {line:?}: {reason}"))?;
        }
        reader.ended()
    }

    pub fn names(&self) -> BTreeSet<&str> {
        self.0.keys().map(String::as_str).collect()
    }

    pub fn families(&self) -> impl Iterator<Item = (&str, &Family)> {
        self.0.iter().map(|(name, family)| (name.as_str(), family))
    }

    pub fn family(&self, name: &str) -> &Family {
        self.0.get(name).unwrap_or_else(|| panic!("there is no {name} in {:?}", self.names()))
    }

    /// The value of a metric that has one series without labels.
    pub fn value(&self, name: &str) -> f64 {
        match &self.family(name).samples[..] {
            [Sample { labels, value, .. }] if labels.is_empty() => *value,
            more => panic!("{name} has more than one value: {more:?}"),
        }
    }

    /// A metric's values by those of its labels, joined: `pay accepted`.
    pub fn by(&self, name: &str, labels: &[&str]) -> BTreeMap<String, f64> {
        let samples = self.family(name).samples.iter();
        let value = |it: &Sample| {
            assert_eq!(it.labels.len(), labels.len(), "{it:?}");
            let values: Vec<_> = labels.iter().map(|name| it.labels[*name].as_str()).collect();
            (values.join(" "), it.value)
        };
        samples.map(value).collect()
    }

    /// How much was recorded in each series of a histogram, and the sum of it.
    pub fn recorded(&self, name: &str) -> Vec<(&Labels, f64, f64)> {
        let samples = &self.family(name).samples;
        let of = |suffix: &str| {
            let name = format!("{name}_{suffix}");
            samples.iter().filter(move |it| it.name == name)
        };
        of("count")
            .zip(of("sum"))
            .map(|(count, sum)| (&count.labels, count.value, sum.value))
            .collect()
    }
}

#[derive(Default)]
struct Reader {
    done: BTreeMap<String, Family>,
    help: Option<(String, String)>,
    now: Option<(String, Family)>,
}

impl Reader {
    fn line(&mut self, line: &str) -> Result<(), String> {
        if line.is_empty() {
            return Ok(());
        }
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, text) = rest.split_once(' ').ok_or("it helps nobody")?;
            self.close()?;
            metric_name(name)?;
            return match self.help.replace((name.to_owned(), unescaped(text, false)?)) {
                None => Ok(()),
                Some((other, _)) => Err(format!("the help of {other} has no type behind it")),
            };
        }
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').ok_or("it names no type")?;
            let kind = match kind {
                "counter" => Kind::Counter,
                "gauge" => Kind::Gauge,
                "histogram" => Kind::Histogram,
                other => return Err(format!("no metric here is a {other}")),
            };
            self.close()?;
            let help = self.help.take().filter(|(of, text)| of == name && !text.trim().is_empty());
            let (_, help) = help.ok_or("there is no help before it")?;
            if self.done.contains_key(name) {
                return Err("its lines are not together".to_owned());
            }
            self.now = Some((name.to_owned(), Family { kind, help, samples: Vec::new() }));
            return Ok(());
        }
        if line.starts_with('#') {
            return Err("it is neither help nor type".to_owned());
        }
        let sample = sample(line)?;
        let Some((name, family)) = &mut self.now else {
            return Err("no type is said before it".to_owned());
        };
        let suffix = sample.name.strip_prefix(name.as_str()).ok_or("it is of another metric")?;
        let fits = match family.kind {
            Kind::Counter | Kind::Gauge => suffix.is_empty(),
            Kind::Histogram => ["_bucket", "_sum", "_count"].contains(&suffix),
        };
        if !fits {
            return Err(format!("{name} is of another type"));
        }
        if family.kind == Kind::Counter && !(sample.value >= 0.0 && sample.value.is_finite()) {
            return Err("nothing is counted like this".to_owned());
        }
        if sample.labels.contains_key("le") != (suffix == "_bucket") {
            return Err("le belongs to buckets, and to all of them".to_owned());
        }
        let same = |it: &Sample| it.name == sample.name && it.labels == sample.labels;
        if family.samples.iter().any(same) {
            return Err("it is there twice".to_owned());
        }
        family.samples.push(sample);
        Ok(())
    }

    /// The lines of one metric have ended.
    fn close(&mut self) -> Result<(), String> {
        let Some((name, family)) = self.now.take() else { return Ok(()) };
        if family.samples.is_empty() {
            return Err(format!("{name} has no value"));
        }
        if family.kind == Kind::Histogram {
            histogram(&name, &family.samples)?;
        }
        self.done.insert(name, family);
        Ok(())
    }

    fn ended(mut self) -> Result<Scrape, String> {
        self.close()?;
        match self.help {
            None => Ok(Scrape(self.done)),
            Some((name, _)) => Err(format!("the help of {name} has no type behind it")),
        }
    }
}

/// Each series has rising buckets, the last of them for everything, and as many as it counts.
fn histogram(name: &str, samples: &[Sample]) -> Result<(), String> {
    let mut series: BTreeMap<Labels, Series> = BTreeMap::new();
    for sample in samples {
        let mut labels = sample.labels.clone();
        let bound = labels.remove("le");
        let series = series.entry(labels).or_default();
        match (bound, sample.name.ends_with("_sum")) {
            (Some(bound), _) => series.buckets.push((number(&bound)?, sample.value)),
            (None, true) => series.sum = Some(sample.value),
            (None, false) => series.count = Some(sample.value),
        }
    }
    for (labels, Series { buckets, sum, count }) in series {
        let wrong = |what: &str| Err(format!("{name}{labels:?} {what}"));
        if !buckets.is_sorted_by(|one, next| one.0 < next.0 && one.1 <= next.1) {
            return wrong("has buckets that do not rise");
        }
        let Some((bound, all)) = buckets.last() else { return wrong("has no buckets") };
        if *bound != f64::INFINITY || Some(*all) != count {
            return wrong("has no bucket for everything it counts");
        }
        if sum.is_none_or(|sum| sum < 0.0 || (sum > 0.0 && *all == 0.0)) {
            return wrong("has no sum, or one of nothing");
        }
    }
    Ok(())
}

#[derive(Default)]
struct Series {
    buckets: Vec<(f64, f64)>,
    sum: Option<f64>,
    count: Option<f64>,
}

/// `name{label="value",…} value`, without a time.
fn sample(line: &str) -> Result<Sample, String> {
    let end = line.find(['{', ' ']).ok_or("it has no value")?;
    let (name, mut rest) = line.split_at(end);
    metric_name(name)?;
    let mut labels = Labels::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (label, behind) = rest.split_once("=\"").ok_or("a label has no value")?;
            label_name(label)?;
            let end = closing_quote(behind).ok_or("a label's value has no end")?;
            let value = unescaped(&behind[..end], true)?;
            if labels.insert(label.to_owned(), value).is_some() {
                return Err(format!("{label} is said twice"));
            }
            rest = &behind[end + 1..];
            match rest.strip_prefix(',') {
                Some(more) => rest = more,
                None => break,
            }
        }
        rest = rest.strip_prefix('}').ok_or("the labels have no end")?;
    }
    let value = rest.strip_prefix(' ').ok_or("no space is before the value")?;
    Ok(Sample { name: name.to_owned(), labels, value: number(value)? })
}

fn metric_name(name: &str) -> Result<(), String> {
    let sound = !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
        && !name.starts_with(|c: char| c.is_ascii_digit());
    if sound { Ok(()) } else { Err(format!("{name:?} names no metric")) }
}

fn label_name(name: &str) -> Result<(), String> {
    metric_name(name)?;
    let sound = !name.contains(':') && !name.starts_with("__");
    if sound { Ok(()) } else { Err(format!("{name:?} names no label")) }
}

/// Where a text in quotes ends.
fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(at, c)| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends.then_some(at)
    })
}

fn unescaped(text: &str, quoted: bool) -> Result<String, String> {
    let mut plain = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let c = match c {
            '\\' => match chars.next() {
                Some('\\') => '\\',
                Some('n') => '\n',
                Some('"') if quoted => '"',
                other => return Err(format!("\\ is before {other:?}")),
            },
            c => c,
        };
        plain.push(c);
    }
    Ok(plain)
}

fn number(text: &str) -> Result<f64, String> {
    let value = match text {
        "+Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        "NaN" => Some(f64::NAN),
        text if text.contains(|c: char| !c.is_ascii_digit() && !"+-.e".contains(c)) => None,
        text => text.parse().ok(),
    };
    value.ok_or_else(|| format!("{text:?} is no number"))
}

#[test]
fn what_is_no_scrape_is_told_apart() {
    const HEAD: &str = "# HELP a A.\n# TYPE a counter\n";
    let refused = |text: &str, reason: &str| {
        let error = Scrape::parse(text).expect_err(text);
        assert!(error.contains(reason), "{text}: {error}");
    };
    let sound = format!("{HEAD}a{{b=\"c \\\\ \\\" \\n d\",e=\"\"}} 1\na 2e3\n\n");
    let labelled = Scrape::parse(&sound).unwrap();
    assert_eq!(labelled.family("a").samples[0].labels["b"], "c \\ \" \n d");
    assert_eq!(labelled.family("a").samples[1].value, 2000.0);
    for (line, reason) in [
        ("a 1", "has no end"),
        ("b 1\n", "another metric"),
        ("a\n", "no value"),
        ("a  1\n", "no number"),
        ("a one\n", "no number"),
        ("a 1 \n", "no number"),
        ("a -1\n", "counted like this"),
        ("a 1\na 2\n", "there twice"),
        ("a{b=\"c\"} 1\na{b=\"c\"} 1\n", "there twice"),
        ("a{b=\"c\",b=\"d\"} 1\n", "said twice"),
        ("a{b=c} 1\n", "no value"),
        ("a{b=\"c} 1\n", "no end"),
        ("a{b=\"c\" 1\n", "no end"),
        ("a{b=\"\\t\"} 1\n", "\\ is before"),
        ("a{1=\"c\"} 1\n", "names no metric"),
        ("a{b=\"c\"}1\n", "no space"),
        ("# a\n", "neither help nor type"),
        ("", "has no value"),
        ("a 1\n# HELP b B.\n", "no type behind"),
        ("a 1\n# TYPE b gauge\nb 1\n", "no help before"),
        ("a 1\n# HELP b B.\n# TYPE b gauge\nb 1\n# HELP a A.\n# TYPE a counter\na 2\n", "together"),
    ] {
        refused(&format!("{HEAD}{line}"), reason);
    }
    let histogram = |lines: &str| format!("# HELP h H.\n# TYPE h histogram\n{lines}");
    let buckets = "h_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 3\n";
    Scrape::parse(&histogram(&format!("{buckets}h_sum 4\nh_count 3\n"))).unwrap();
    for (lines, reason) in [
        (format!("{buckets}h_sum 4\nh_count 4\n"), "everything"),
        (format!("{buckets}h_count 3\n"), "no sum"),
        ("h_bucket{le=\"1\"} 2\nh_sum 4\nh_count 2\n".to_owned(), "everything"),
        (format!("h_bucket{{le=\"2\"}} 1\n{buckets}h_sum 4\nh_count 3\n"), "do not rise"),
        (format!("h_bucket{{le=\"0\"}} 3\n{buckets}h_sum 4\nh_count 3\n"), "do not rise"),
        ("h_sum 4\nh_count 3\n".to_owned(), "no buckets"),
        ("h 3\n".to_owned(), "another type"),
        ("h_count{le=\"1\"} 3\n".to_owned(), "le belongs"),
    ] {
        refused(&histogram(&lines), reason);
    }
}
