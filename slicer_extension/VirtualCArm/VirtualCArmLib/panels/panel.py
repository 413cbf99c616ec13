"""What every tab is."""

import qt
import slicer


class Panel:
    """A tab: it is told to connect its widgets once, to show how things are, and to let go of the scene."""

    def __init__(self, widget):
        self.widget, self.ui, self.logic = widget, widget.ui, widget.logic
        self.connect()

    def connect(self):
        """Connect widgets, once."""

    def refresh(self):
        """Show how things are."""

    def follow(self):
        """Follow what the scene now holds, whichever tab is seen."""

    def let_go(self):
        """The scene is going."""

    def on(self, button, action):
        """What a button does; what the user can put right becomes a message."""

        def pressed(checked=False):
            with self.widget.telling():
                action()
            self.widget.later()

        button.connect("clicked(bool)", pressed)

    def role(self, selector, name):
        """Tie a node selector to a role on the module's node, for roles of more than one class."""

        def chosen(node):
            if self.widget.parameters is not None:
                self.logic.home().SetNodeReferenceID(name, None if node is None else node.GetID())

        selector.connect("currentNodeChanged(vtkMRMLNode*)", chosen)

    def show_role(self, selector, name):
        """Have a selector of `role` show what the scene says."""
        node = self.logic.home().GetNodeReference(name)
        if selector.currentNode() is not node:
            selector.setCurrentNode(node)


class Follower:
    """Has an action called at events of nodes, of others as time goes by: `follow([(node, event), ...])`."""

    def __init__(self, widget, action):
        self._widget, self._action, self._pairs = widget, action, []

    def follow(self, pairs):
        """Follow these and no others; whether that is something new. No node is nothing to follow."""
        pairs = [pair for pair in pairs if pair[0] is not None]
        for node, event in [pair for pair in self._pairs if pair not in pairs]:
            self._widget.removeObserver(node, event, self._action)
        for node, event in [pair for pair in pairs if pair not in self._pairs]:
            self._widget.addObserver(node, event, self._action)
        new = pairs != self._pairs
        self._pairs = pairs
        return new


def fill(table, titles, rows):
    """Put texts into a table; the selected row stays selected, and what is the same stays as it is."""
    rows = [[str(text) for text in row] for row in rows]
    if rows and rows == _texts(table):
        return
    selected = table.currentRow()
    table.blockSignals(True)
    table.clear()
    table.setColumnCount(len(titles))
    table.setRowCount(len(rows))
    table.setHorizontalHeaderLabels(titles)
    table.verticalHeader().visible = False
    for number, row in enumerate(rows):
        for column, text in enumerate(row):
            table.setItem(number, column, qt.QTableWidgetItem(text))
    table.blockSignals(False)
    header = table.horizontalHeader()
    header.stretchLastSection = False
    table.resizeColumnsToContents()
    header.stretchLastSection = True
    if rows and selected >= 0:
        table.setCurrentCell(min(selected, len(rows) - 1), 0)


def _texts(table):
    """What a table says."""
    items = [[table.item(row, column) for column in range(table.columnCount)] for row in range(table.rowCount)]
    return [["" if item is None else item.text() for item in row] for row in items]


def take_choices(combo, pairs, current):
    """Fill a combo box with (words, value), without telling anybody; values are found by `value_of`."""
    if [(combo.itemText(k), combo.itemData(k)) for k in range(combo.count)] != list(pairs):
        combo.blockSignals(True)
        combo.clear()
        for words, value in pairs:
            combo.addItem(words, value)
        combo.blockSignals(False)
    place = combo.findData(current)
    if place >= 0 and place != combo.currentIndex:
        combo.blockSignals(True)
        combo.currentIndex = place
        combo.blockSignals(False)


def set_quietly(widget, value):
    """Show a number without telling anybody."""
    if widget.value != value:
        widget.blockSignals(True)
        widget.value = value
        widget.blockSignals(False)


def exists(node):
    """Whether a node is still in the scene."""
    return node is not None and node.GetScene() is slicer.mrmlScene
