// Package clientconfig writes comfygate into the configuration files of MCP clients. What else is in a file stays as it is, in its order.
package clientconfig

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
)

// Name is what the server is called in a client's configuration.
const Name = "comfygate"

// A Host is the machine whose files are meant. Paths are absolute.
type Host struct {
	OS      string // as runtime.GOOS
	Home    string
	AppData string // of Windows
	Config  string // XDG_CONFIG_HOME; empty: ~/.config
	Dir     string // working folder, for clients that keep a file in each project
}

// A Client is an MCP client and its configuration file.
type Client struct {
	ID    string // as the command line takes it
	Title string
	Note  string // what to do once the file is written
	key   string // member of the file that holds the servers
	typed bool   // an entry says its transport
	path  func(Host) string
}

// Clients are the clients that are known. The order is that of the help text.
func Clients() []Client {
	return []Client{
		{ID: "claude-desktop", Title: "Claude Desktop", Note: "Restart Claude Desktop.", key: "mcpServers", path: claudeDesktop},
		{
			ID: "claude-code", Title: "Claude Code", Note: "Start claude in this folder and approve the server.", key: "mcpServers", typed: true,
			path: func(h Host) string { return filepath.Join(h.Dir, ".mcp.json") },
		},
		{
			ID: "cursor", Title: "Cursor", Note: "Cursor takes it up by itself; see Settings, MCP.", key: "mcpServers",
			path: func(h Host) string { return filepath.Join(h.Home, ".cursor", "mcp.json") },
		},
		{
			ID: "vscode", Title: "VS Code", Note: "Open this folder in VS Code and start the server from .vscode/mcp.json.", key: "servers", typed: true,
			path: func(h Host) string { return filepath.Join(h.Dir, ".vscode", "mcp.json") },
		},
	}
}

// Find returns the client of that id, or an error that names those there are.
func Find(id string) (Client, error) {
	clients := Clients()
	ids := make([]string, len(clients))
	for i, c := range clients {
		if c.ID == id {
			return c, nil
		}
		ids[i] = c.ID
	}
	return Client{}, fmt.Errorf("client %q is not known; there are %s", id, strings.Join(ids, ", "))
}

// Path is where c keeps its configuration on h.
func (c Client) Path(h Host) string { return c.path(h) }

func claudeDesktop(h Host) string {
	const file = "claude_desktop_config.json"
	switch {
	case h.OS == "windows":
		return filepath.Join(h.AppData, "Claude", file)
	case h.OS == "darwin":
		return filepath.Join(h.Home, "Library", "Application Support", "Claude", file)
	case h.Config != "":
		return filepath.Join(h.Config, "Claude", file)
	}
	return filepath.Join(h.Home, ".config", "Claude", file)
}

// An Entry is how a client starts comfygate.
type Entry struct {
	Type    string            `json:"type,omitempty"`
	Command string            `json:"command"`
	Args    []string          `json:"args"`
	Env     map[string]string `json:"env,omitempty"`
}

// A Change is a configuration file before and after.
type Change struct {
	Before, After []byte // whole files; Before is empty where there was none
	Old, New      []byte // comfygate's own entry in them; Old is empty where there was none
}

// Changed reports whether there is anything to write.
func (ch Change) Changed() bool { return !bytes.Equal(ch.Before, ch.After) }

// Plan works out what becomes of a client's file, without touching it. It is an error where the file is not the JSON object that
// the client documents: then nothing is guessed.
func (c Client) Plan(before []byte, e Entry) (Change, error) {
	if c.typed {
		e.Type = "stdio"
	}
	entry, err := marshal(e)
	if err != nil {
		return Change{}, err
	}
	file, err := readObject(before)
	if err != nil {
		return Change{}, fmt.Errorf("the file is not plain JSON: %w", err)
	}
	servers, err := readObject(file.value(c.key))
	if err != nil {
		return Change{}, fmt.Errorf("its member %q is not an object: %w", c.key, err)
	}
	old := servers.value(Name)
	ch := Change{Before: before, After: before, Old: indented(old), New: indented(entry)}
	if bytes.Equal(ch.Old, ch.New) {
		return ch, nil
	}
	servers = servers.with(Name, entry)
	file = file.with(c.key, servers.encode())
	ch.After = append(indented(file.encode()), '\n')
	return ch, nil
}

// An object is a JSON object in its order.
type object []member

type member struct {
	name  string
	value json.RawMessage
}

// readObject reads a JSON object; nothing at all is an empty one.
func readObject(data []byte) (object, error) {
	data = bytes.TrimSpace(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")))
	if len(data) == 0 {
		return nil, nil
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.Join(errors.New("no object"), err)
	}
	var o object
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return nil, err
		}
		name, ok := t.(string)
		if !ok || slices.ContainsFunc(o, func(m member) bool { return m.name == name }) {
			return nil, fmt.Errorf("member %v stands there twice", t)
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, err
		}
		o = append(o, member{name, value})
	}
	if _, err := dec.Token(); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something stands behind the object")
	}
	return o, nil
}

func (o object) value(name string) json.RawMessage {
	for _, m := range o {
		if m.name == name {
			return m.value
		}
	}
	return nil
}

// with is o with a member set: in its place where it was, else at the end.
func (o object) with(name string, value json.RawMessage) object {
	o = slices.Clone(o)
	for i := range o {
		if o[i].name == name {
			o[i].value = value
			return o
		}
	}
	return append(o, member{name, value})
}

func (o object) encode() json.RawMessage {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := marshal(m.name)
		if err != nil { // a string always encodes
			panic(err)
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(m.value)
	}
	b.WriteByte('}')
	return b.Bytes()
}

// marshal encodes without escaping <, > and &: people read these files.
func marshal(v any) (json.RawMessage, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSpace(b.Bytes()), nil
}

func indented(raw json.RawMessage) []byte {
	var b bytes.Buffer
	if len(raw) == 0 || json.Indent(&b, raw, "", "  ") != nil {
		return nil
	}
	return b.Bytes()
}
