package emulator

func primitiveNodes() []nodeRow {
	pass := func(class string) nodeRow {
		return row(class, func(c *call) ([]any, error) { return []any{c.inputs["value"]}, nil })
	}
	return []nodeRow{
		pass("PrimitiveString"),
		pass("PrimitiveStringMultiline"),
		pass("PrimitiveInt"),
		pass("PrimitiveFloat"),
		pass("PrimitiveBoolean"),
		row("StringConcatenate", func(c *call) ([]any, error) {
			return []any{c.text("string_a") + c.text("delimiter") + c.text("string_b")}, nil
		}),
		row("PreviewAny", func(c *call) ([]any, error) {
			text := pyStr(shownValue(c.inputs["source"]))
			c.ui = obj(pair{"text", []any{text}})
			return []any{text}, nil
		}),
	}
}
