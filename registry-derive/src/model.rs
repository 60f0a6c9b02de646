//! What the words mean: arguments and items to checked binds.

use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::{
    Attribute, Error, Generics, Ident, LitStr, Path, Result, Type, TypePath, Visibility,
    parse_quote,
};

use crate::args::{Args, Declarations, Tables};
use crate::backend;
use crate::diesel::Facts;
use crate::key::Key;
use crate::mistakes::Mistakes;

/// What the arguments choose.
pub(crate) struct Choice {
    pub(crate) krate: Path,
    pub(crate) bind: Result<Chosen>,
}

/// A bind, the backend of which may be still to be found.
pub(crate) enum Chosen {
    Keyed {
        key: Key,
        connection: Option<Connection>,
    },
    Path(TypePath),
    /// The word `table`: the bind of a model's table.
    OfTable(Ident),
}

/// A bind, as generated code spells it.
#[derive(Clone)]
pub(crate) enum Target {
    Keyed {
        key: Key,
        connection: Connection,
    },
    Path(TypePath),
    /// That of a table, given its module.
    OfTable(Path),
}

#[derive(Clone)]
pub(crate) enum Connection {
    /// `Postgres`, `Mysql` or `Sqlite`.
    Word(Ident),
    Path(TypePath),
    /// That of a backend which `check_for_backend` names.
    Of(Type),
    /// That of the only backend that is enabled; where to complain if it is not the only one.
    Only(Span),
}

/// Types of one bind.
pub(crate) struct Bound {
    pub(crate) krate: Path,
    pub(crate) cfgs: Vec<Attribute>,
    pub(crate) bind: Result<Target>,
    /// Backends that the bind must speak to: those of `check_for_backend`.
    pub(crate) backends: Vec<Type>,
    /// The modules of the tables that `table_name` names.
    pub(crate) tables: Vec<Path>,
    pub(crate) subjects: Vec<Subject>,
}

/// A type that is bound.
pub(crate) struct Subject {
    pub(crate) noun: Noun,
    pub(crate) path: Path,
    pub(crate) generics: Generics,
}

#[derive(Clone, Copy)]
pub(crate) enum Noun {
    Model,
    Table,
}

/// A bind that gets a name.
pub(crate) struct Alias {
    pub(crate) krate: Path,
    pub(crate) attrs: Vec<Attribute>,
    /// The `#[cfg(..)]` among them.
    pub(crate) cfgs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) name: Ident,
    pub(crate) bind: Result<Target>,
}

impl Choice {
    /// What `args` choose, unless there are mistakes in them or were before.
    pub(crate) fn of(args: Args, mut mistakes: Mistakes) -> Self {
        let bind = choose(&args, &mut mistakes);
        Self {
            krate: args.krate.map_or_else(default_krate, |krate| krate.value),
            bind: mistakes.or(bind),
        }
    }
}

impl Chosen {
    /// The bind of an item that says nothing itself; none if it is that of a model's table.
    pub(crate) fn target(&self) -> Option<Target> {
        match self {
            Self::Keyed { key, connection } => Some(Target::Keyed {
                key: key.clone(),
                connection: connection
                    .clone()
                    .unwrap_or_else(|| Connection::Only(Span::call_site())),
            }),
            Self::Path(path) => Some(Target::Path(path.clone())),
            Self::OfTable(_) => None,
        }
    }

    /// The bind of a model, given what its attributes say.
    pub(crate) fn target_of_model(&self, facts: &Facts, model: &Ident) -> Result<Target> {
        match self {
            Self::Keyed { key, connection: None } => {
                Ok(Target::Keyed { key: key.clone(), connection: connection_of(facts)? })
            }
            Self::Keyed { key, connection: Some(connection) } => {
                Ok(Target::Keyed { key: key.clone(), connection: connection.clone() })
            }
            Self::Path(path) => Ok(Target::Path(path.clone())),
            Self::OfTable(word) => table_of(facts, word, model).map(Target::OfTable),
        }
    }
}

impl Target {
    /// Where to point when this is no bind, or contradicts `check_for_backend`.
    pub(crate) fn span(&self) -> Span {
        match self {
            Self::Keyed { key, connection } => match connection {
                Connection::Word(word) => word.span(),
                Connection::Path(path) => last_span(&path.path),
                Connection::Of(Type::Path(backend)) => last_span(&backend.path),
                Connection::Of(_) | Connection::Only(_) => key.span(),
            },
            Self::Path(path) => last_span(&path.path),
            Self::OfTable(table) => last_span(table),
        }
    }

    /// Whether it takes its backend from `check_for_backend`, so that the two cannot differ.
    pub(crate) fn follows_check(&self) -> bool {
        matches!(self, Self::Keyed { connection: Connection::Of(_), .. })
    }
}

impl Bound {
    /// A model with a `#[bind]` of its own.
    pub(crate) fn model(
        choice: Choice,
        attrs: &[Attribute],
        name: &Ident,
        generics: &Generics,
    ) -> Self {
        let facts = Facts::of(attrs);
        let bind = choice.bind.and_then(|chosen| chosen.target_of_model(&facts, name));
        Self {
            krate: choice.krate,
            bind,
            cfgs: facts.cfgs,
            backends: facts.backends,
            tables: facts.tables,
            subjects: vec![Subject {
                noun: Noun::Model,
                path: name.clone().into(),
                generics: generics.clone(),
            }],
        }
    }

    /// The tables of `bind_tables!`.
    pub(crate) fn tables(tables: Tables, mut mistakes: Mistakes) -> Self {
        let args = tables.args;
        if mistakes.is_empty() && args.db.is_none() && args.bind.is_none() {
            mistakes.add(Error::new(
                Span::call_site(),
                "which database? Say `db = \"..\"` (the default one is \"default\") or the path of a bind, before the semicolon",
            ));
        }
        let choice = Choice::of(args, mistakes);
        let target = |chosen: Chosen| chosen.target().expect("`table` is for `#[bind]` alone");
        Self {
            krate: choice.krate,
            cfgs: Vec::new(),
            bind: choice.bind.map(target),
            backends: Vec::new(),
            tables: Vec::new(),
            subjects: tables.tables.into_iter().map(Subject::table).collect(),
        }
    }
}

impl Subject {
    /// A table, given its module or the type itself.
    pub(crate) fn table(mut path: Path) -> Self {
        let last = path.segments.last().expect("a path has segments");
        if last.ident != "table" || path.segments.len() == 1 {
            let table = Ident::new("table", last.ident.span());
            path.segments.push(table.into());
        }
        Self { noun: Noun::Table, path, generics: Generics::default() }
    }
}

impl Alias {
    /// The declarations of `binds!`. Mistakes that belong to no declaration stay in `mistakes`.
    pub(crate) fn of(declarations: Declarations, mistakes: &mut Mistakes) -> Vec<Self> {
        let krate = declarations.krate.unwrap_or_else(default_krate);
        let mut seen: Vec<(String, Ident)> = Vec::new();
        let mut aliases = Vec::new();
        for declaration in declarations.declarations {
            // Two with one key may stand under opposite conditions.
            let cfgs = Facts::of(&declaration.attrs).cfgs;
            if cfgs.is_empty() {
                let key = declaration.key.value();
                match seen.iter().find(|(other, _)| *other == key) {
                    // The alias is good in itself, so code that names it hears nothing.
                    Some((_, other)) => mistakes.at(
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
                bind: declared(&declaration.key, declaration.connection),
            });
        }
        aliases
    }
}

/// The bind of one declaration.
fn declared(key: &LitStr, connection: Option<TypePath>) -> Result<Target> {
    let connection = match connection {
        None => Ok(Connection::Only(key.span())),
        Some(path) => match path.path.get_ident().cloned() {
            Some(word) if path.qself.is_none() => backend::check(word).map(Connection::Word),
            _ => Ok(Connection::Path(path)),
        },
    };
    match (connection, Key::new(key)) {
        (Ok(connection), Ok(key)) => Ok(Target::Keyed { key, connection }),
        (Err(mut mistakes), Err(mistake)) => {
            mistakes.combine(mistake);
            Err(mistakes)
        }
        (Err(mistake), Ok(_)) | (Ok(_), Err(mistake)) => Err(mistake),
    }
}

fn choose(args: &Args, mistakes: &mut Mistakes) -> Chosen {
    // Both may be wrong, so both are looked at before anything is decided.
    let key = match &args.db {
        Some(db) => mistakes.note(Key::new(&db.value)),
        None => None,
    };
    if let (Some(_), Some(connection)) = (&args.backend, &args.connection) {
        mistakes.at(
            &connection.word,
            "`connection` and `backend` say the same thing: keep one of them",
        );
    }
    let alone = match (&args.bind, &args.table) {
        (Some(bind), Some(table)) => {
            mistakes.at(
                table,
                "`table` takes the bind of the model's table, so no other bind can be named",
            );
            Some((Chosen::Path(bind.clone()), "the bind that is named here"))
        }
        (Some(bind), None) => Some((Chosen::Path(bind.clone()), "the bind that is named here")),
        (None, Some(table)) => Some((Chosen::OfTable(table.clone()), "the bind of the table")),
        (None, None) => None,
    };
    if let Some((chosen, whose)) = alone {
        let words = [
            args.db.as_ref().map(|db| &db.word),
            args.backend.as_ref().map(|backend| &backend.word),
            args.connection.as_ref().map(|connection| &connection.word),
        ];
        for word in words.into_iter().flatten() {
            mistakes.at(word, format!("`{word}` is already part of {whose}: leave it out"));
        }
        return chosen;
    }
    let backend = args.backend.as_ref().map(|backend| Connection::Word(backend.value.clone()));
    let connection =
        args.connection.as_ref().map(|connection| Connection::Path(connection.value.clone()));
    Chosen::Keyed {
        key: key.unwrap_or_else(|| Key::default_at(Span::call_site())),
        connection: backend.or(connection),
    }
}

/// The connection of a model whose bind names none.
fn connection_of(facts: &Facts) -> Result<Connection> {
    match facts.backends.as_slice() {
        [backend] => Ok(Connection::Of(backend.clone())),
        [] => match &facts.hidden.check_for_backend {
            None => Ok(Connection::Only(Span::call_site())),
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
fn table_of(facts: &Facts, word: &Ident, model: &Ident) -> Result<Path> {
    match facts.tables.as_slice() {
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

/// The end of a path, for spans: its whole cannot be spanned on stable.
fn last_span(path: &Path) -> Span {
    path.segments.last().map_or_else(|| path.span(), |last| last.ident.span())
}
