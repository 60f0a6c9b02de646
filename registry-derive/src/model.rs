//! The meaning of arguments and items: binds, and the types that belong to them, checked.

use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::{
    Attribute, Error, Generics, Ident, LitStr, Path, Result, Type, TypePath, Visibility,
    parse_quote,
};

use crate::args::{Args, Declarations, Tables};
use crate::backend;
use crate::diesel::ItemAttributes;
use crate::key::Key;
use crate::mistakes::Mistakes;

/// The arguments of `#[bind]` or `bind_tables!`, checked.
pub(crate) struct CheckedArgs {
    pub(crate) krate: Path,
    pub(crate) bind: Result<NamedBind>,
}

/// The bind of the arguments. If they name no backend, the item determines it.
pub(crate) enum NamedBind {
    Keyed {
        key: Key,
        connection: Option<Connection>,
    },
    Path(TypePath),
    /// The bind of the model's table: the word `table`.
    OfTable(Ident),
}

/// A bind in the form in which generated code names it, with its backend.
#[derive(Clone)]
pub(crate) enum ResolvedBind {
    Keyed {
        key: Key,
        connection: Connection,
    },
    Path(TypePath),
    /// The bind of a table, given the module of the table.
    OfTable(Path),
}

/// The connection type of a bind.
#[derive(Clone)]
pub(crate) enum Connection {
    /// `Postgres`, `Mysql` or `Sqlite`.
    Backend(Ident),
    Path(TypePath),
    /// The connection type of the backend in `check_for_backend`.
    OfBackend(Type),
    /// The connection type of the only backend that is enabled, and the span for the error if several are.
    OnlyEnabled(Span),
}

/// The types of one bind, for which `Bound` is implemented.
pub(crate) struct BoundTypes {
    pub(crate) krate: Path,
    pub(crate) cfgs: Vec<Attribute>,
    pub(crate) bind: Result<ResolvedBind>,
    /// The backends in `check_for_backend`. The bind must have them.
    pub(crate) backends: Vec<Type>,
    /// The modules of the tables in `table_name`.
    pub(crate) tables: Vec<Path>,
    pub(crate) types: Vec<BoundType>,
}

/// A type that belongs to a bind.
pub(crate) struct BoundType {
    pub(crate) kind: TypeKind,
    pub(crate) path: Path,
    pub(crate) generics: Generics,
}

#[derive(Clone, Copy)]
pub(crate) enum TypeKind {
    Model,
    Table,
}

/// A declaration of `binds!`: a bind that gets a name.
pub(crate) struct Alias {
    pub(crate) krate: Path,
    pub(crate) attrs: Vec<Attribute>,
    /// The `#[cfg(..)]` among them.
    pub(crate) cfgs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) name: Ident,
    pub(crate) bind: Result<ResolvedBind>,
}

impl CheckedArgs {
    /// Checks `args`. The bind is an error if there are mistakes in them, or were before.
    pub(crate) fn check(args: Args, mut mistakes: Mistakes) -> Self {
        let bind = named_bind(&args, &mut mistakes);
        Self {
            krate: args.krate.map_or_else(default_krate, |krate| krate.value),
            bind: mistakes.into_result(bind),
        }
    }
}

impl NamedBind {
    /// The bind of an item without attributes that name a backend. `None` if it is the bind of a model's table.
    pub(crate) fn resolve(&self) -> Option<ResolvedBind> {
        match self {
            Self::Keyed { key, connection } => Some(ResolvedBind::Keyed {
                key: key.clone(),
                connection: connection
                    .clone()
                    .unwrap_or_else(|| Connection::OnlyEnabled(Span::call_site())),
            }),
            Self::Path(path) => Some(ResolvedBind::Path(path.clone())),
            Self::OfTable(_) => None,
        }
    }

    /// The bind of a model with these attributes.
    pub(crate) fn resolve_for_model(
        &self,
        attributes: &ItemAttributes,
        model: &Ident,
    ) -> Result<ResolvedBind> {
        match self {
            Self::Keyed { key, connection: None } => {
                Ok(ResolvedBind::Keyed { key: key.clone(), connection: connection_of(attributes)? })
            }
            Self::Keyed { key, connection: Some(connection) } => {
                Ok(ResolvedBind::Keyed { key: key.clone(), connection: connection.clone() })
            }
            Self::Path(path) => Ok(ResolvedBind::Path(path.clone())),
            Self::OfTable(word) => table_of(attributes, word, model).map(ResolvedBind::OfTable),
        }
    }
}

impl ResolvedBind {
    /// The span for errors: this is not a bind, or it contradicts `check_for_backend`.
    pub(crate) fn span(&self) -> Span {
        match self {
            Self::Keyed { key, connection } => match connection {
                Connection::Backend(word) => word.span(),
                Connection::Path(path) => last_span(&path.path),
                Connection::OfBackend(Type::Path(backend)) => last_span(&backend.path),
                Connection::OfBackend(_) | Connection::OnlyEnabled(_) => key.span(),
            },
            Self::Path(path) => last_span(&path.path),
            Self::OfTable(table) => last_span(table),
        }
    }

    /// Whether its backend comes from `check_for_backend`, so that the two cannot differ.
    pub(crate) fn follows_check(&self) -> bool {
        matches!(self, Self::Keyed { connection: Connection::OfBackend(_), .. })
    }
}

impl BoundTypes {
    /// A model with a `#[bind]` of its own.
    pub(crate) fn model(
        args: CheckedArgs,
        attrs: &[Attribute],
        name: &Ident,
        generics: &Generics,
    ) -> Self {
        let attributes = ItemAttributes::read(attrs);
        let bind = args.bind.and_then(|named| named.resolve_for_model(&attributes, name));
        Self {
            krate: args.krate,
            bind,
            cfgs: attributes.cfgs,
            backends: attributes.backends,
            tables: attributes.tables,
            types: vec![BoundType {
                kind: TypeKind::Model,
                path: name.clone().into(),
                generics: generics.clone(),
            }],
        }
    }

    /// The tables of `bind_tables!` or `bind_foreign!`.
    pub(crate) fn tables(tables: Tables, mut mistakes: Mistakes) -> Self {
        let args = tables.args;
        if mistakes.is_empty() && args.db.is_none() && args.bind.is_none() {
            mistakes.add(Error::new(
                Span::call_site(),
                "which database? Say `db = \"..\"` (the default one is \"default\") or the path of a bind, before the semicolon",
            ));
        }
        let args = CheckedArgs::check(args, mistakes);
        let resolve = |named: NamedBind| named.resolve().expect("`table` is for `#[bind]` alone");
        Self {
            krate: args.krate,
            cfgs: Vec::new(),
            bind: args.bind.map(resolve),
            backends: Vec::new(),
            tables: Vec::new(),
            types: tables.tables.into_iter().map(BoundType::table).collect(),
        }
    }
}

impl BoundType {
    /// A table, given its module or the type itself.
    pub(crate) fn table(mut path: Path) -> Self {
        let last = path.segments.last().expect("a path has segments");
        if last.ident != "table" || path.segments.len() == 1 {
            let table = Ident::new("table", last.ident.span());
            path.segments.push(table.into());
        }
        Self { kind: TypeKind::Table, path, generics: Generics::default() }
    }
}

impl Alias {
    /// Checks the declarations of `binds!`. Mistakes that concern two declarations are added to `mistakes`.
    pub(crate) fn from_declarations(
        declarations: Declarations,
        mistakes: &mut Mistakes,
    ) -> Vec<Self> {
        let krate = declarations.krate.unwrap_or_else(default_krate);
        let mut seen: Vec<(String, Ident)> = Vec::new();
        let mut aliases = Vec::new();
        for declaration in declarations.declarations {
            // Two declarations of the same key can be under opposite conditions.
            let cfgs = ItemAttributes::read(&declaration.attrs).cfgs;
            if cfgs.is_empty() {
                let key = declaration.key.value();
                match seen.iter().find(|(other, _)| *other == key) {
                    // The alias itself is valid, so there is no error where it is used.
                    Some((_, other)) => mistakes.add_at(
                        &declaration.key,
                        format!("`{other}` has the key {key:?} already: one name for a database"),
                    ),
                    None => seen.push((key, declaration.name.clone())),
                }
            }
            aliases.push(Self {
                krate: krate.clone(),
                attrs: declaration.attrs,
                cfgs,
                vis: declaration.vis,
                name: declaration.name,
                bind: declared_bind(&declaration.key, declaration.connection),
            });
        }
        aliases
    }
}

/// The bind of one declaration.
fn declared_bind(key: &LitStr, connection: Option<TypePath>) -> Result<ResolvedBind> {
    let connection = match connection {
        None => Ok(Connection::OnlyEnabled(key.span())),
        Some(path) => match path.path.get_ident().cloned() {
            Some(word) if path.qself.is_none() => backend::check(word).map(Connection::Backend),
            _ => Ok(Connection::Path(path)),
        },
    };
    match (connection, Key::new(key)) {
        (Ok(connection), Ok(key)) => Ok(ResolvedBind::Keyed { key, connection }),
        (Err(mut mistakes), Err(mistake)) => {
            mistakes.combine(mistake);
            Err(mistakes)
        }
        (Err(mistake), Ok(_)) | (Ok(_), Err(mistake)) => Err(mistake),
    }
}

fn named_bind(args: &Args, mistakes: &mut Mistakes) -> NamedBind {
    // Both can be wrong, so both are checked before anything is decided.
    let key = match &args.db {
        Some(db) => mistakes.note(Key::new(&db.value)),
        None => None,
    };
    if let (Some(_), Some(connection)) = (&args.backend, &args.connection) {
        mistakes.add_at(
            &connection.word,
            "`connection` and `backend` say the same thing: keep one of them",
        );
    }
    let alone = match (&args.bind, &args.table) {
        (Some(bind), Some(table)) => {
            mistakes.add_at(
                table,
                "`table` takes the bind of the model's table, so no other bind can be named",
            );
            Some((NamedBind::Path(bind.clone()), "the bind that is named here"))
        }
        (Some(bind), None) => Some((NamedBind::Path(bind.clone()), "the bind that is named here")),
        (None, Some(table)) => Some((NamedBind::OfTable(table.clone()), "the bind of the table")),
        (None, None) => None,
    };
    if let Some((named, whose)) = alone {
        let words = [
            args.db.as_ref().map(|db| &db.word),
            args.backend.as_ref().map(|backend| &backend.word),
            args.connection.as_ref().map(|connection| &connection.word),
        ];
        for word in words.into_iter().flatten() {
            mistakes.add_at(word, format!("`{word}` is already part of {whose}: leave it out"));
        }
        return named;
    }
    let backend = args.backend.as_ref().map(|backend| Connection::Backend(backend.value.clone()));
    let connection =
        args.connection.as_ref().map(|connection| Connection::Path(connection.value.clone()));
    NamedBind::Keyed {
        key: key.unwrap_or_else(|| Key::default_at(Span::call_site())),
        connection: backend.or(connection),
    }
}

/// The connection type of a model whose bind names no backend.
fn connection_of(attributes: &ItemAttributes) -> Result<Connection> {
    match attributes.backends.as_slice() {
        [backend] => Ok(Connection::OfBackend(backend.clone())),
        [] => match &attributes.in_cfg_attr.check_for_backend {
            None => Ok(Connection::OnlyEnabled(Span::call_site())),
            Some(hidden) => Err(Error::new_spanned(
                hidden,
                "the module's `#[bind]` cannot see through `cfg_attr`: name the backend in it, such as `backend = Postgres`, or give this model a `#[bind]` of its own",
            )),
        },
        [_, second, ..] => Err(Error::new_spanned(
            second,
            "a model lives in one database, so `check_for_backend` must name one backend: keep the one of its bind",
        )),
    }
}

/// The table of a model, for `#[bind(table)]`.
fn table_of(attributes: &ItemAttributes, word: &Ident, model: &Ident) -> Result<Path> {
    match attributes.tables.as_slice() {
        [table] => Ok(table.clone()),
        [] => Err(Error::new_spanned(
            word,
            format!("which table? Add `#[diesel(table_name = path::to::table)]` to `{model}`"),
        )),
        [_, second, ..] => Err(Error::new_spanned(
            second,
            format!("`{model}` has several tables: name its bind instead of `table`"),
        )),
    }
}

fn default_krate() -> Path {
    parse_quote!(::registry_core)
}

/// The span of the last segment of a path. Stable Rust cannot join the spans of all of them.
fn last_span(path: &Path) -> Span {
    path.segments.last().map_or_else(|| path.span(), |last| last.ident.span())
}
