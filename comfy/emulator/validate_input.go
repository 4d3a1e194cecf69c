package emulator

import (
	"math/big"
	"slices"
	"strings"
)

// checkInput returns the fault of one input, if any, and whether what lies
// upstream of it is good.
func (v *validation) checkInput(in *inputInfo, inputs *object) (fault *object, upstream bool, err *pyError) {
	val, given := inputs.get(in.name)
	if !given {
		if !in.required {
			return nil, true, nil
		}
		return reason("required_input_missing", "Required input is missing", in.name,
			obj(pair{"input_name", in.name})), true, nil
	}
	if link, isList := val.([]any); isList {
		return v.checkLink(in, link)
	}
	if wrapped, isDict := val.(*object); isDict {
		if inner, ok := wrapped.get("__value__"); ok {
			val = inner
			inputs.set(in.name, val)
		}
	}
	val, failure := convert(in.kind, val)
	if failure != "" {
		return reason("invalid_input_type", "Failed to convert an input value to a "+in.kind+" value",
			in.name+", "+pyStr(val)+", "+failure,
			v.about(in, pair{"received_value", val}, pair{"exception_message", failure})), true, nil
	}
	inputs.set(in.name, val)
	return v.checkValue(in, val), true, nil
}

// convert makes the value one of the input's kind, as Python would; on failure
// it returns the value as it was, and Python's words.
func convert(kind string, val any) (converted any, failure string) {
	var out any
	var err error
	switch kind {
	case "INT":
		out, err = toInt(val)
	case "FLOAT":
		out, err = toFloat(val)
	case "STRING":
		out = pyStr(val)
	case "BOOLEAN":
		out = pyTrue(val) // "false" is true
	default:
		out = val
	}
	if err != nil {
		return val, err.Error()
	}
	return out, ""
}

// about is the extra_info of a fault: the input, and what else is known.
func (v *validation) about(in *inputInfo, more ...pair) *object {
	options := v.server.options(in)
	info := obj(pair{"input_name", in.name}, pair{"input_config", []any{in.spec(options), in.settings(options)}})
	for _, p := range more {
		info.set(p.key, p.val)
	}
	return info
}

// checkLink follows a link upstream. A list of any kind is read as one.
func (v *validation) checkLink(in *inputInfo, link []any) (fault *object, upstream bool, err *pyError) {
	if len(link) != 2 {
		return reason("bad_linked_input", "Bad linked input, must be a length-2 list of [node_id, slot_index]", in.name,
			v.about(in, pair{"received_value", link})), true, nil
	}
	received, err := v.linkedType(link)
	if err != nil {
		return nil, false, err
	}
	if !typesFit(received, in) {
		shown := v.server.options(in)
		return reason("return_type_mismatch", "Return type mismatch between linked nodes",
			in.name+", received_type("+pyStr(received)+") mismatch input_type("+pyStr(in.spec(shown))+")",
			v.about(in, pair{"received_type", received}, pair{"linked_node", link})), true, nil
	}
	from, _ := link[0].(string)
	return nil, v.checkUpstream(in, from, link), nil
}

// checkUpstream validates the node that a link leads to. What it raises is told
// as its own fault.
func (v *validation) checkUpstream(in *inputInfo, from string, link []any) bool {
	f, raised := v.check(from)
	if raised == nil {
		return f.ok
	}
	v.find(from, &finding{reasons: []any{reason("exception_during_inner_validation",
		"Exception when validating inner node", raised.text,
		v.about(in, pair{"exception_message", raised.text}, pair{"exception_type", raised.kind},
			pair{"traceback", traceback(2)}, pair{"linked_node", link}))}})
	return false
}

// linkedType is the type of the output that a link leads to.
func (v *validation) linkedType(link []any) (any, *pyError) {
	switch link[0].(type) {
	case []any, *object:
		return nil, &pyError{"TypeError", "unhashable type: '" + pyTypeName(link[0]) + "'"}
	}
	from, isText := link[0].(string)
	node, there := v.graph.vals[from].(*object)
	if !isText || !there {
		return nil, &pyError{"KeyError", pyRepr(link[0])}
	}
	class, _ := node.vals["class_type"].(string)
	outputs := v.server.infos[class].outputs
	var slot int
	switch n := link[1].(type) {
	case *big.Int:
		slot = len(outputs)
		if n.IsInt64() && n.Int64() < int64(len(outputs)) && n.Int64() >= -int64(len(outputs)) {
			slot = int(n.Int64())
		}
	case bool:
		if n {
			slot = 1
		}
	default:
		return nil, &pyError{"TypeError", "tuple indices must be integers or slices, not " + pyTypeName(link[1])}
	}
	if slot < 0 {
		slot += len(outputs)
	}
	if slot >= len(outputs) {
		return nil, &pyError{"IndexError", "tuple index out of range"}
	}
	return outputs[slot], nil
}

// typesFit says whether an output may feed an input: types are comma-separated
// lists of which one must be common, and "*" fits all.
func typesFit(received any, in *inputInfo) bool {
	const anyType, matchType = "*", "COMFY_MATCHTYPE_V3"
	if in.kind == anyType || in.kind == matchType || received == anyType || received == matchType {
		return true
	}
	if _, isList := received.([]any); isList {
		return in.combo
	}
	text, ok := received.(string)
	if !ok || (in.combo && !in.v3) {
		return false
	}
	have := strings.Split(text, ",")
	for want := range strings.SplitSeq(in.kind, ",") {
		for _, h := range have {
			if strings.TrimSpace(h) == strings.TrimSpace(want) || strings.TrimSpace(h) == anyType {
				return true
			}
		}
	}
	return false
}

// checkValue looks at bounds and lists.
func (v *validation) checkValue(in *inputInfo, val any) *object {
	if in.files != nil && in.files[0] == fileInputs {
		return nil // the class itself looks at it
	}
	if lowest, ok := in.config.get("min"); ok && less(val, lowest) {
		return reason("value_smaller_than_min", "Value "+pyStr(val)+" smaller than min of "+pyStr(lowest), in.name,
			v.about(in, pair{"received_value", val}))
	}
	if highest, ok := in.config.get("max"); ok && less(highest, val) {
		return reason("value_bigger_than_max", "Value "+pyStr(val)+" bigger than max of "+pyStr(highest), in.name,
			v.about(in, pair{"received_value", val}))
	}
	if !in.combo || (in.v3 && !v.server.kind.checksV3) {
		return nil
	}
	options := v.server.options(in)
	if s, isText := val.(string); isText && slices.Contains(options, s) {
		return nil
	}
	shown := "'" + pyStr(val) + "'"
	if v.server.kind.reprOptions {
		shown = pyRepr(val)
	}
	list, about := pyRepr(options), v.about(in, pair{"received_value", val})
	if len(options) > 20 {
		list = "(list of length " + big.NewInt(int64(len(options))).String() + ")"
		about.set("input_config", nil)
	}
	return reason("value_not_in_list", "Value not in list", in.name+": "+shown+" not in "+list, about)
}
