//! Books with pages (one to many) and authors (many to many), by joins and by associations.

use super::prelude::*;

diesel::table! { authors (id) { id -> Integer, name -> VarChar, } }
diesel::table! { books (id) { id -> Integer, title -> VarChar, } }
diesel::table! { books_authors (book_id, author_id) { book_id -> Integer, author_id -> Integer, } }
diesel::table! {
    pages (id) { id -> Integer, page_number -> Integer, content -> Text, book_id -> Integer, }
}

diesel::joinable!(books_authors -> authors (author_id));
diesel::joinable!(books_authors -> books (book_id));
diesel::joinable!(pages -> books (book_id));
diesel::allow_tables_to_appear_in_same_query!(authors, books, books_authors, pages);

pub(super) const TABLES: &[&str] = &[
    "CREATE TABLE authors (id {key}, name VARCHAR(50) NOT NULL)",
    "CREATE TABLE books (id {key}, title VARCHAR(50) NOT NULL)",
    "CREATE TABLE books_authors (book_id INTEGER NOT NULL REFERENCES books (id), \
        author_id INTEGER NOT NULL REFERENCES authors (id), PRIMARY KEY (book_id, author_id))",
    "CREATE TABLE pages (id {key}, page_number INTEGER NOT NULL, content TEXT NOT NULL, \
        book_id INTEGER NOT NULL REFERENCES books (id))",
];

#[derive(Debug, Clone, PartialEq, Queryable, Selectable, Identifiable)]
struct Author {
    id: i32,
    name: String,
}

#[derive(Debug, Clone, PartialEq, Queryable, Selectable, Identifiable)]
struct Book {
    id: i32,
    title: String,
}

#[derive(Debug, Clone, Queryable, Selectable, Identifiable, Associations)]
#[diesel(table_name = books_authors, belongs_to(Book), belongs_to(Author), primary_key(book_id, author_id))]
struct BookAuthor {
    book_id: i32,
    author_id: i32,
}

#[derive(Debug, PartialEq, Queryable, Selectable, Identifiable, Associations)]
#[diesel(belongs_to(Book))]
struct Page {
    id: i32,
    page_number: i32,
    content: String,
    book_id: i32,
}

async fn new_author(connection: &mut Connection, name: &str) -> QueryResult<Author> {
    diesel::insert_into(authors::table)
        .values(authors::name.eq(name))
        .returning(Author::as_returning())
        .get_result(connection)
        .await
}

async fn new_book(connection: &mut Connection, title: &str) -> QueryResult<Book> {
    diesel::insert_into(books::table)
        .values(books::title.eq(title))
        .returning(Book::as_returning())
        .get_result(connection)
        .await
}

async fn sign(
    connection: &mut Connection,
    book: &Book,
    author: &Author,
) -> QueryResult<BookAuthor> {
    diesel::insert_into(books_authors::table)
        .values((books_authors::book_id.eq(book.id), books_authors::author_id.eq(author.id)))
        .returning(BookAuthor::as_returning())
        .get_result(connection)
        .await
}

async fn new_page(connection: &mut Connection, number: i32, book: &Book) -> QueryResult<Page> {
    diesel::insert_into(pages::table)
        .values((
            pages::page_number.eq(number),
            pages::content.eq(format!("page {number}")),
            pages::book_id.eq(book.id),
        ))
        .returning(Page::as_returning())
        .get_result(connection)
        .await
}

async fn one_to_many(connection: &mut Connection) -> QueryResult<()> {
    let atlas = books::table
        .filter(books::title.eq("Atlas"))
        .select(Book::as_select())
        .get_result(&mut *connection)
        .await?;
    let pages = Page::belonging_to(&atlas).select(Page::as_select()).load(&mut *connection).await?;
    assert_eq!(pages.len(), 2);
    assert!(pages.iter().all(|page| page.book_id == atlas.id));

    let all =
        books::table.order(books::id).select(Book::as_select()).load(&mut *connection).await?;
    let pages = Page::belonging_to(&all).select(Page::as_select()).load(connection).await?;
    let per_book: Vec<(Book, usize)> = pages
        .grouped_by(&all)
        .into_iter()
        .map(|pages| pages.len())
        .zip(all)
        .map(|(n, book)| (book, n))
        .collect();
    let counts: Vec<(&str, usize)> =
        per_book.iter().map(|(book, pages)| (book.title.as_str(), *pages)).collect();
    assert_eq!(counts, [("Atlas", 2), ("Birds", 0), ("Coasts", 0)]);
    Ok(())
}

async fn joins(connection: &mut Connection) -> QueryResult<()> {
    let pages = pages::table
        .inner_join(books::table)
        .filter(books::title.eq("Atlas"))
        .select((Page::as_select(), Book::as_select()))
        .load::<(Page, Book)>(&mut *connection)
        .await?;
    assert_eq!(pages.len(), 2);
    let with_empty = books::table
        .left_join(pages::table)
        .select((Book::as_select(), Option::<Page>::as_select()))
        .load::<(Book, Option<Page>)>(connection)
        .await?;
    assert_eq!(with_empty.iter().filter(|(_, page)| page.is_none()).count(), 2);
    Ok(())
}

async fn many_to_many(connection: &mut Connection) -> QueryResult<()> {
    let ada = authors::table
        .filter(authors::name.eq("Ada"))
        .select(Author::as_select())
        .get_result(&mut *connection)
        .await?;
    let hers = BookAuthor::belonging_to(&ada)
        .inner_join(books::table)
        .select(Book::as_select())
        .load(&mut *connection)
        .await?;
    assert_eq!(hers.len(), 2);

    let common = books::table
        .filter(books::title.eq("Coasts"))
        .select(Book::as_select())
        .get_result(&mut *connection)
        .await?;
    let authors = BookAuthor::belonging_to(&common)
        .inner_join(authors::table)
        .select(Author::as_select())
        .load(&mut *connection)
        .await?;
    assert_eq!(authors.len(), 2);

    let all = authors::table.select(Author::as_select()).load(&mut *connection).await?;
    let books = BookAuthor::belonging_to(&all)
        .inner_join(books::table)
        .select((BookAuthor::as_select(), Book::as_select()))
        .load(connection)
        .await?;
    let per_author: Vec<(Author, Vec<(BookAuthor, Book)>)> =
        all.clone().into_iter().zip(books.grouped_by(&all)).collect();
    assert!(per_author.iter().all(|(_, books)| books.len() == 2), "{per_author:?}");
    Ok(())
}

pub(super) async fn tell(connection: &mut Connection) -> QueryResult<()> {
    let atlas = new_book(connection, "Atlas").await?;
    new_page(connection, 1, &atlas).await?;
    new_page(connection, 2, &atlas).await?;
    let ada = new_author(connection, "Ada").await?;
    sign(connection, &atlas, &ada).await?;
    let bob = new_author(connection, "Bob").await?;
    let birds = new_book(connection, "Birds").await?;
    sign(connection, &birds, &bob).await?;
    let coasts = new_book(connection, "Coasts").await?;
    sign(connection, &coasts, &ada).await?;
    sign(connection, &coasts, &bob).await?;
    one_to_many(connection).await?;
    joins(connection).await?;
    many_to_many(connection).await
}
