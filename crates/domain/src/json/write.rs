//! Answers and stored documents, built once into text. Stored documents are spliced in as they are.

/// Appends JSON text to a buffer. It trusts its caller to open, name and close in the right order: answers have a fixed shape,
/// and a test reads each of them back.
#[derive(Debug, Default)]
pub struct JsonWriter {
    text: String,
}

impl JsonWriter {
    /// An empty buffer with room for so many bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        Self { text: String::with_capacity(bytes) }
    }

    /// Text that is JSON already: punctuation, a key with its colon, a stored document.
    pub fn raw(&mut self, json: &str) -> &mut Self {
        self.text.push_str(json);
        self
    }

    /// A comma, unless the element about to be written is the first of its list or object.
    pub fn separate(&mut self) -> &mut Self {
        if !matches!(self.text.as_bytes().last(), None | Some(b'[' | b'{' | b':' | b',')) {
            self.text.push(',');
        }
        self
    }

    /// `"name":`, with a comma before it where one is due.
    pub fn key(&mut self, name: &str) -> &mut Self {
        self.separate();
        write_text(&mut self.text, name);
        self.text.push(':');
        self
    }

    /// As [`JsonWriter::key`], of a name that stands in this program and needs no escape: for those who write very many.
    pub fn field(&mut self, name: &'static str) -> &mut Self {
        debug_assert!(!name.bytes().any(needs_escape), "{name}");
        self.separate();
        self.text.push('"');
        self.text.push_str(name);
        self.text.push_str("\":");
        self
    }

    /// A whole number.
    pub fn int(&mut self, number: i64) -> &mut Self {
        use std::fmt::Write;
        write!(self.text, "{number}").expect("writing into a String does not fail");
        self
    }

    /// A text, quoted and escaped.
    pub fn text(&mut self, text: &str) -> &mut Self {
        write_text(&mut self.text, text);
        self
    }

    /// A value of the tree.
    pub fn value(&mut self, value: &super::Json) -> &mut Self {
        write_value(&mut self.text, value);
        self
    }

    /// How many bytes were written.
    pub fn len(&self) -> usize {
        self.text.len()
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// The finished text.
    pub fn finish(self) -> String {
        self.text
    }
}

/// Appends a quoted, escaped text.
pub fn write_text(out: &mut String, text: &str) {
    out.push('"');
    let mut rest = text;
    while let Some(at) = rest.bytes().position(needs_escape) {
        out.push_str(&rest[..at]);
        match rest.as_bytes()[at] {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            control => out.push_str(&format!("\\u{control:04x}")),
        }
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
    out.push('"');
}

fn needs_escape(byte: u8) -> bool {
    byte < b' ' || byte == b'"' || byte == b'\\'
}

fn write_value(out: &mut String, value: &super::Json) {
    use super::Json;
    match value {
        Json::Null => out.push_str("null"),
        Json::Bool(true) => out.push_str("true"),
        Json::Bool(false) => out.push_str("false"),
        Json::Int(number) => out.push_str(&number.to_string()),
        // serde_json prints what reads back as the same number.
        Json::Float(number) => {
            out.push_str(&serde_json::Number::from_f64(*number).map_or("null".into(), |n| n.to_string()))
        }
        Json::Text(text) => write_text(out, text),
        Json::List(elements) => {
            out.push('[');
            for (i, element) in elements.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_value(out, element);
            }
            out.push(']');
        }
        Json::Object(object) => {
            out.push('{');
            for (i, (key, member)) in object.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_text(out, key);
                out.push(':');
                write_value(out, member);
            }
            out.push('}');
        }
    }
}

impl std::fmt::Display for super::Json {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = String::new();
        write_value(&mut out, self);
        f.write_str(&out)
    }
}
