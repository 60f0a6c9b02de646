//! `#[bind]` on an inline module: which of its items it binds, and how they reach what it names.

use proc_macro2::Span;
use quote::format_ident;
use syn::{
    Attribute, Error, Generics, Ident, Item, ItemMod, Path, Result, TypePath, parse_quote, token,
};

use crate::diesel::{self, Facts};
use crate::model::{Bound, Choice, Chosen, Connection, Noun, Subject, Target};

/// A module and what is to be said beside it and in it.
pub(crate) struct Module {
    /// The module without its content.
    pub(crate) header: ItemMod,
    pub(crate) brace: token::Brace,
    pub(crate) cfgs: Vec<Attribute>,
    /// `use path as name;`, where a relative `crate = path` must be reached from inside.
    pub(crate) krate_alias: Option<(Path, Ident)>,
    pub(crate) bind_alias: Option<BindAlias>,
    pub(crate) members: Vec<Member>,
}

/// The bind of the module, spelled once: its mistakes are then reported once, too.
pub(crate) struct BindAlias {
    pub(crate) krate: Path,
    pub(crate) name: Ident,
    pub(crate) place: Place,
    pub(crate) bind: Result<Target>,
}

/// Where the alias stands. A path is to mean what it means where `#[bind]` stands, whatever the
/// module imports or shadows, so relative ones are spelled outside it. Absolute ones need not be,
/// and are not: a module in a function body cannot reach what stands beside it.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Place {
    Beside,
    Inside,
}

pub(crate) enum Member {
    Other(Item),
    Bound(Item, Box<Bound>),
    Module(ItemMod, token::Brace, Vec<Member>),
}

impl Module {
    pub(crate) fn of(mut item: ItemMod, choice: Choice) -> Result<Self> {
        let Some((brace, items)) = item.content.take() else {
            return Err(Error::new_spanned(
                &item.ident,
                format!(
                    "`#[bind]` cannot see into the file of `mod {0};`: name its tables in `registry_core::bind_tables!(db = \"..\"; {0}::table)`, and put `#[bind]` on its models",
                    item.ident
                ),
            ));
        };
        let mut walk = Walk::new(&item.ident, choice);
        let members = walk.members(items, 0);
        Ok(Self {
            brace,
            cfgs: Facts::of(&item.attrs).cfgs,
            krate_alias: walk.krate_alias(),
            bind_alias: walk.bind_alias(),
            header: item,
            members,
        })
    }
}

/// Goes through the items of a module and of those in it.
struct Walk {
    choice: Choice,
    place: Place,
    alias: Ident,
    krate_alias: Ident,
    /// Whether an item needed the module's alias.
    used: bool,
}

impl Walk {
    fn new(module: &Ident, choice: Choice) -> Self {
        let place = match &choice.bind {
            Ok(chosen) if names_relative_path(chosen) => Place::Beside,
            _ => Place::Inside,
        };
        let alias = match place {
            Place::Beside => format_ident!("__RegistryBindOf_{module}", span = Span::call_site()),
            Place::Inside => format_ident!("__RegistryModuleBind"),
        };
        Self {
            choice,
            place,
            alias,
            krate_alias: format_ident!("__registry_crate_of_{module}", span = Span::call_site()),
            used: false,
        }
    }

    fn members(&mut self, items: Vec<Item>, depth: usize) -> Vec<Member> {
        items.into_iter().map(|item| self.member(item, depth)).collect()
    }

    fn member(&mut self, item: Item, depth: usize) -> Member {
        match item {
            Item::Mod(mut module) if !has_own_bind(&module.attrs) => match module.content.take() {
                Some((brace, items)) => {
                    let members = self.members(items, depth + 1);
                    Member::Module(module, brace, members)
                }
                None => Member::Other(Item::Mod(module)),
            },
            Item::Struct(item) => {
                match self.model(&item.attrs, &item.ident, &item.generics, depth) {
                    Some(bound) => Member::Bound(Item::Struct(item), Box::new(bound)),
                    None => Member::Other(Item::Struct(item)),
                }
            }
            Item::Macro(item) => match diesel::table_of(&item.mac) {
                Some(name) => {
                    let bound = self.table(name, &item.attrs, depth);
                    Member::Bound(Item::Macro(item), Box::new(bound))
                }
                None => Member::Other(Item::Macro(item)),
            },
            other => Member::Other(other),
        }
    }

    fn model(
        &mut self,
        attrs: &[Attribute],
        name: &Ident,
        generics: &Generics,
        depth: usize,
    ) -> Option<Bound> {
        let facts = Facts::of(attrs);
        if has_own_bind(attrs) {
            return None;
        }
        let bind = match (&facts.hidden.bind, &facts.hidden.table_name) {
            (Some(bind), _) => Err(Error::new_spanned(
                bind,
                format!(
                    "the module's `#[bind]` cannot see through `cfg_attr` whether `{name}` has a `bind` of its own: move `{name}` out of the module, or give it a `#[bind]` that always holds"
                ),
            )),
            (None, Some(hidden)) if facts.tables.is_empty() => Err(Error::new_spanned(
                hidden,
                format!(
                    "the module's `#[bind]` cannot see through `cfg_attr` whether `{name}` has a table: give it a `#[bind]` of its own"
                ),
            )),
            (None, _) if facts.tables.is_empty() => return None,
            (None, _) => self.bind_of_model(&facts, name, depth),
        };
        Some(Bound {
            krate: self.krate(depth),
            cfgs: facts.cfgs,
            bind,
            backends: facts.backends,
            tables: facts.tables,
            subjects: vec![Subject {
                noun: Noun::Model,
                path: name.clone().into(),
                generics: generics.clone(),
            }],
        })
    }

    fn bind_of_model(&mut self, facts: &Facts, name: &Ident, depth: usize) -> Result<Target> {
        let says_backend = !facts.backends.is_empty() || facts.hidden.check_for_backend.is_some();
        match &self.choice.bind {
            Ok(chosen @ Chosen::OfTable(_)) => return chosen.target_of_model(facts, name),
            Ok(chosen @ Chosen::Keyed { connection: None, .. }) if says_backend => {
                return chosen.target_of_model(facts, name);
            }
            _ => {}
        }
        Ok(self.alias(depth))
    }

    fn table(&mut self, name: Ident, attrs: &[Attribute], depth: usize) -> Bound {
        let bind = match &self.choice.bind {
            Ok(Chosen::OfTable(word)) => Err(Error::new_spanned(
                word,
                format!(
                    "`table` says that models go where their tables are, and does not say where the table `{name}` in this module is: name its bind"
                ),
            )),
            _ => Ok(self.alias(depth)),
        };
        Bound {
            krate: self.krate(depth),
            cfgs: Facts::of(attrs).cfgs,
            bind,
            backends: Vec::new(),
            tables: Vec::new(),
            subjects: vec![Subject::table(name.into())],
        }
    }

    /// The module's bind, as an item `depth` modules down in it reaches it.
    fn alias(&mut self, depth: usize) -> Target {
        self.used = true;
        let up = match self.place {
            Place::Beside => depth + 1,
            Place::Inside => depth,
        };
        let path = from_inside(up, &self.alias);
        let mut path: TypePath = TypePath { qself: None, path };
        // Errors about the bind belong to the words that name it.
        if let Ok(Some(target)) = self.choice.bind.as_ref().map(Chosen::target)
            && let Some(last) = path.path.segments.last_mut()
        {
            last.ident.set_span(target.span());
        }
        Target::Path(path)
    }

    fn krate(&self, depth: usize) -> Path {
        if is_absolute(&self.choice.krate) {
            self.choice.krate.clone()
        } else {
            from_inside(depth + 1, &self.krate_alias)
        }
    }

    fn krate_alias(&self) -> Option<(Path, Ident)> {
        let krate = &self.choice.krate;
        (!is_absolute(krate)).then(|| (krate.clone(), self.krate_alias.clone()))
    }

    fn bind_alias(&self) -> Option<BindAlias> {
        let bind = match &self.choice.bind {
            Ok(chosen) => Ok(chosen.target()?),
            Err(mistakes) => Err(mistakes.clone()),
        };
        let complains_unasked =
            matches!(&bind, Ok(Target::Keyed { connection: Connection::Only(_), .. }));
        if complains_unasked && !self.used {
            return None;
        }
        Some(BindAlias {
            krate: match self.place {
                Place::Beside => self.choice.krate.clone(),
                Place::Inside => self.krate(0),
            },
            name: self.alias.clone(),
            place: self.place,
            bind,
        })
    }
}

fn has_own_bind(attrs: &[Attribute]) -> bool {
    attrs.iter().any(|attr| diesel::is_bind(attr.path()))
}

/// `name`, which stands `up` modules above; `self::` keeps it apart from a local alias.
fn from_inside(up: usize, name: &Ident) -> Path {
    if up == 0 {
        return parse_quote!(self::#name);
    }
    let supers = std::iter::repeat_n(Ident::new("super", Span::call_site()), up);
    parse_quote!(#(#supers::)*#name)
}

fn names_relative_path(chosen: &Chosen) -> bool {
    match chosen {
        Chosen::Path(path) | Chosen::Keyed { connection: Some(Connection::Path(path)), .. } => {
            path.qself.is_some() || !is_absolute(&path.path)
        }
        Chosen::Keyed { .. } | Chosen::OfTable(_) => false,
    }
}

fn is_absolute(path: &Path) -> bool {
    let first = path.segments.first();
    path.leading_colon.is_some()
        || first.is_some_and(|first| first.ident == "crate" || first.ident == "$crate")
}
