//! `#[bind]` on an inline module: the selection of the bound items, and the path by which code inside the module names
//! the bind.

use proc_macro2::Span;
use quote::format_ident;
use syn::{
    Attribute, Error, Generics, Ident, Item, ItemMod, Path, Result, TypePath, parse_quote, token,
};

use crate::diesel::{self, ItemAttributes};
use crate::model::{
    BoundType, BoundTypes, CheckedArgs, Connection, NamedBind, ResolvedBind, TypeKind,
};

/// A module, and the code that is generated beside and inside it.
pub(crate) struct Module {
    /// The module without its content.
    pub(crate) header: ItemMod,
    pub(crate) brace: token::Brace,
    pub(crate) cfgs: Vec<Attribute>,
    /// `use path as name;`, through which code inside the module reaches a relative `crate = path`.
    pub(crate) krate_alias: Option<(Path, Ident)>,
    pub(crate) bind_alias: Option<BindAlias>,
    pub(crate) members: Vec<Member>,
}

/// A type alias for the bind of the module. It names the bind once, so that a mistake in it is reported once.
pub(crate) struct BindAlias {
    pub(crate) krate: Path,
    pub(crate) name: Ident,
    pub(crate) position: AliasPosition,
    pub(crate) bind: Result<ResolvedBind>,
}

/// The position of the alias. A relative path must be resolved at the place of `#[bind]`, whatever the module imports
/// or shadows, so its alias is beside the module. The alias of an absolute path is inside, because a module in the body
/// of a function cannot reach an item beside it.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum AliasPosition {
    Beside,
    Inside,
}

pub(crate) enum Member {
    Other(Item),
    Bound(Item, Box<BoundTypes>),
    Module(ItemMod, token::Brace, Vec<Member>),
}

impl Module {
    pub(crate) fn bind_items(mut item: ItemMod, args: CheckedArgs) -> Result<Self> {
        let Some((brace, items)) = item.content.take() else {
            return Err(Error::new_spanned(
                &item.ident,
                format!(
                    "`#[bind]` cannot see into the file of `mod {0};`: name its tables in `registry_core::bind_tables!(db = \"..\"; {0}::table)`, and put `#[bind]` on its models",
                    item.ident
                ),
            ));
        };
        let mut walk = ModuleWalk::new(&item.ident, args);
        let members = walk.members(items, 0);
        Ok(Self {
            brace,
            cfgs: ItemAttributes::read(&item.attrs).cfgs,
            krate_alias: walk.krate_alias(),
            bind_alias: walk.bind_alias(),
            header: item,
            members,
        })
    }
}

/// Visits the items of a module and of the modules in it.
struct ModuleWalk {
    args: CheckedArgs,
    position: AliasPosition,
    alias: Ident,
    krate_alias: Ident,
    /// Whether an item has used the alias.
    is_alias_used: bool,
}

impl ModuleWalk {
    fn new(module: &Ident, args: CheckedArgs) -> Self {
        let position = match &args.bind {
            Ok(named) if names_relative_path(named) => AliasPosition::Beside,
            _ => AliasPosition::Inside,
        };
        let alias = match position {
            AliasPosition::Beside => {
                format_ident!("__RegistryBindOf_{module}", span = Span::call_site())
            }
            AliasPosition::Inside => format_ident!("__RegistryModuleBind"),
        };
        Self {
            args,
            position,
            alias,
            krate_alias: format_ident!("__registry_crate_of_{module}", span = Span::call_site()),
            is_alias_used: false,
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
    ) -> Option<BoundTypes> {
        let attributes = ItemAttributes::read(attrs);
        if has_own_bind(attrs) {
            return None;
        }
        let bind = match (&attributes.in_cfg_attr.bind, &attributes.in_cfg_attr.table_name) {
            (Some(bind), _) => Err(Error::new_spanned(
                bind,
                format!(
                    "the module's `#[bind]` cannot see through `cfg_attr` whether `{name}` has a `bind` of its own: move `{name}` out of the module, or give it a `#[bind]` that always holds"
                ),
            )),
            (None, Some(hidden)) if attributes.tables.is_empty() => Err(Error::new_spanned(
                hidden,
                format!(
                    "the module's `#[bind]` cannot see through `cfg_attr` whether `{name}` has a table: give it a `#[bind]` of its own"
                ),
            )),
            (None, _) if attributes.tables.is_empty() => return None,
            (None, _) => self.bind_of_model(&attributes, name, depth),
        };
        Some(BoundTypes {
            krate: self.krate(depth),
            cfgs: attributes.cfgs,
            bind,
            backends: attributes.backends,
            tables: attributes.tables,
            types: vec![BoundType {
                kind: TypeKind::Model,
                path: name.clone().into(),
                generics: generics.clone(),
            }],
        })
    }

    fn bind_of_model(
        &mut self,
        attributes: &ItemAttributes,
        name: &Ident,
        depth: usize,
    ) -> Result<ResolvedBind> {
        let says_backend =
            !attributes.backends.is_empty() || attributes.in_cfg_attr.check_for_backend.is_some();
        match &self.args.bind {
            Ok(named @ NamedBind::OfTable(_)) => return named.resolve_for_model(attributes, name),
            Ok(named @ NamedBind::Keyed { connection: None, .. }) if says_backend => {
                return named.resolve_for_model(attributes, name);
            }
            _ => {}
        }
        Ok(self.alias(depth))
    }

    fn table(&mut self, name: Ident, attrs: &[Attribute], depth: usize) -> BoundTypes {
        let bind = match &self.args.bind {
            Ok(NamedBind::OfTable(word)) => Err(Error::new_spanned(
                word,
                format!(
                    "`table` says that models go where their tables are, and does not say where the table `{name}` in this module is: name its bind"
                ),
            )),
            _ => Ok(self.alias(depth)),
        };
        BoundTypes {
            krate: self.krate(depth),
            cfgs: ItemAttributes::read(attrs).cfgs,
            bind,
            backends: Vec::new(),
            tables: Vec::new(),
            types: vec![BoundType::table(name.into())],
        }
    }

    /// The path by which an item that is `depth` modules down names the module's bind.
    fn alias(&mut self, depth: usize) -> ResolvedBind {
        self.is_alias_used = true;
        let up = match self.position {
            AliasPosition::Beside => depth + 1,
            AliasPosition::Inside => depth,
        };
        let path = from_inside(up, &self.alias);
        let mut path: TypePath = TypePath { qself: None, path };
        // Errors about the bind point to the words that name it.
        if let Ok(Some(target)) = self.args.bind.as_ref().map(NamedBind::resolve)
            && let Some(last) = path.path.segments.last_mut()
        {
            last.ident.set_span(target.span());
        }
        ResolvedBind::Path(path)
    }

    fn krate(&self, depth: usize) -> Path {
        if is_absolute(&self.args.krate) {
            self.args.krate.clone()
        } else {
            from_inside(depth + 1, &self.krate_alias)
        }
    }

    fn krate_alias(&self) -> Option<(Path, Ident)> {
        let krate = &self.args.krate;
        (!is_absolute(krate)).then(|| (krate.clone(), self.krate_alias.clone()))
    }

    fn bind_alias(&self) -> Option<BindAlias> {
        let bind = match &self.args.bind {
            Ok(named) => Ok(named.resolve()?),
            Err(mistakes) => Err(mistakes.clone()),
        };
        let is_error_by_itself =
            matches!(&bind, Ok(ResolvedBind::Keyed { connection: Connection::OnlyEnabled(_), .. }));
        if is_error_by_itself && !self.is_alias_used {
            return None;
        }
        Some(BindAlias {
            krate: match self.position {
                AliasPosition::Beside => self.args.krate.clone(),
                AliasPosition::Inside => self.krate(0),
            },
            name: self.alias.clone(),
            position: self.position,
            bind,
        })
    }
}

fn has_own_bind(attrs: &[Attribute]) -> bool {
    attrs.iter().any(|attr| diesel::is_bind(attr.path()))
}

/// The path to `name`, which is `up` modules above. `self::` distinguishes it from a local alias.
fn from_inside(up: usize, name: &Ident) -> Path {
    if up == 0 {
        return parse_quote!(self::#name);
    }
    let supers = std::iter::repeat_n(Ident::new("super", Span::call_site()), up);
    parse_quote!(#(#supers::)*#name)
}

fn names_relative_path(named: &NamedBind) -> bool {
    match named {
        NamedBind::Path(path)
        | NamedBind::Keyed { connection: Some(Connection::Path(path)), .. } => {
            path.qself.is_some() || !is_absolute(&path.path)
        }
        NamedBind::Keyed { .. } | NamedBind::OfTable(_) => false,
    }
}

fn is_absolute(path: &Path) -> bool {
    let first = path.segments.first();
    path.leading_colon.is_some()
        || first.is_some_and(|first| first.ident == "crate" || first.ident == "$crate")
}
