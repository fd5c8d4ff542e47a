from lorascope.models.finetuning.batches import Order, Rows


def test_an_epoch_has_every_example_once_and_is_filled_up_with_blanks() -> None:
    rows = Rows(
        [{"input_ids": [i, i], "attention_mask": [1, 1], "labels": [-100, i]} for i in range(10)]
    )
    orders = []
    for epoch in range(3):
        order = Order(rows, seed=1, multiple=4)
        order.set_epoch(epoch)
        indices = list(order)
        assert len(indices) == len(order) == 12
        assert sorted(indices[:10]) == list(range(10)) and indices[10:] == [10, 10]
        orders.append(indices)
    assert orders[0] != orders[1] != orders[2]
    assert rows[10] == rows[0] | {"labels": [-100, -100]}
    assert list(Order(rows, seed=1, multiple=1)) == orders[0][:10]
