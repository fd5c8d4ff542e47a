"""The data of the item page, see docs/item-page.md."""
