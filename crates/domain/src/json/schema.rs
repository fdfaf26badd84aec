//! The shape of inputs and outputs, for the OpenAPI document.

/// The shape of a value.
#[derive(Debug, Clone, PartialEq)]
pub enum Schema {
    /// Any JSON value.
    Any,
    Integer,
    Number,
    Boolean,
    Text,
    /// A text in RFC 3339 form.
    Time,
    /// A list of values of one shape.
    List(Box<Schema>),
    /// The shape, or null.
    OrNull(Box<Schema>),
    /// An object; keys beside the named ones are allowed.
    Object(Vec<Field>),
    /// Always null.
    Null,
}

/// A named member of an object.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    pub name: &'static str,
    pub description: &'static str,
    pub schema: Schema,
    /// Of an answer: always there.
    pub always: bool,
}

impl Schema {
    /// A list of this shape.
    pub fn list(self) -> Self {
        Schema::List(Box::new(self))
    }

    /// This shape or null.
    pub fn or_null(self) -> Self {
        Schema::OrNull(Box::new(self))
    }

    /// An object that always has these members.
    pub fn object<const N: usize>(members: [(&'static str, Schema); N]) -> Self {
        let field = |(name, schema)| Field { name, description: "", schema, always: true };
        Schema::Object(members.into_iter().map(field).collect())
    }

    /// This object where it may lack a member.
    pub fn sometimes(self, member: &str) -> Self {
        let may_lack = |field: Field| Field { always: field.always && field.name != member, ..field };
        match self {
            Schema::Object(fields) => Schema::Object(fields.into_iter().map(may_lack).collect()),
            other => other,
        }
    }

    /// This object where the caller picks its members: none is always there.
    pub fn picked(self) -> Self {
        match self {
            Schema::Object(fields) => {
                Schema::Object(fields.into_iter().map(|field| Field { always: false, ..field }).collect())
            }
            other => other,
        }
    }

    /// `{"count": n, "info": [...]}`.
    pub fn page_of(self) -> Self {
        Schema::object([("count", Schema::Integer), ("info", self.list())])
    }
}
