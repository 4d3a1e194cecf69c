package config

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
)

func noKnown() (string, error) { return "", errors.ErrUnsupported }

// The default folders of each system, from its environment alone.
func TestFolders(t *testing.T) {
	t.Parallel()
	dirs := func(text string) map[string]string {
		return map[string]string{"/home/ada/.config/user-dirs.dirs": text}
	}
	for _, tc := range []struct {
		name, os       string
		known          func() (string, error)
		env            []string
		disk           map[string]string
		state, picture string
		fault          string // variable; empty: none
	}{
		{"linux", "linux", noKnown, []string{"HOME=/home/ada"}, nil, "/home/ada/.local/state/comfygate", "/home/ada/Pictures/comfygate", ""},
		{"linux state", "linux", noKnown, []string{"HOME=/home/ada", "XDG_STATE_HOME=/var/x/"}, nil, "/var/x/comfygate", "/home/ada/Pictures/comfygate", ""},
		{"linux relative state", "linux", noKnown, []string{"HOME=/home/ada", "XDG_STATE_HOME=x"}, nil, "/home/ada/.local/state/comfygate", "/home/ada/Pictures/comfygate", ""},
		{"linux in German", "linux", noKnown, []string{"HOME=/home/ada"}, dirs("# a comment\nXDG_MUSIC_DIR=\"$HOME/Musik\"\nXDG_PICTURES_DIR=\"$HOME/Bilder\"\n"), "/home/ada/.local/state/comfygate", "/home/ada/Bilder/comfygate", ""},
		{"linux absolute", "linux", noKnown, []string{"HOME=/home/ada"}, dirs(`XDG_PICTURES_DIR="/data/pics/"`), "/home/ada/.local/state/comfygate", "/data/pics/comfygate", ""},
		{"linux disabled", "linux", noKnown, []string{"HOME=/home/ada"}, dirs(`XDG_PICTURES_DIR="$HOME/"`), "/home/ada/.local/state/comfygate", "/home/ada/Pictures/comfygate", ""},
		{"linux nonsense", "linux", noKnown, []string{"HOME=/home/ada"}, dirs(`XDG_PICTURES_DIR=`), "/home/ada/.local/state/comfygate", "/home/ada/Pictures/comfygate", ""},
		{"linux elsewhere", "linux", noKnown, []string{"HOME=/home/ada", "XDG_CONFIG_HOME=/cfg"}, map[string]string{"/cfg/user-dirs.dirs": `XDG_PICTURES_DIR="$HOME/P"`}, "/home/ada/.local/state/comfygate", "/home/ada/P/comfygate", ""},
		{"freebsd", "freebsd", noKnown, []string{"HOME=/home/ada"}, nil, "/home/ada/.local/state/comfygate", "/home/ada/Pictures/comfygate", ""},
		{"no home", "linux", noKnown, nil, nil, "", "", "COMFYGATE_STORAGE__DIR"},
		{"no home, folder given", "linux", noKnown, []string{"COMFYGATE_STORAGE__DIR=/srv"}, nil, "/srv", "", ""},
		{"home folder of the root", "linux", noKnown, []string{"HOME=/"}, nil, "/.local/state/comfygate", "/Pictures/comfygate", ""},
		{"mac", "darwin", noKnown, []string{"HOME=/Users/ada"}, nil, "/Users/ada/Library/Application Support/comfygate", "/Users/ada/Pictures/comfygate", ""},
		{"windows", "windows", func() (string, error) { return `D:\Bilder`, nil }, []string{`UserProfile=C:\Users\ada`, `LocalAppData=C:\Users\ada\AppData\Local`}, nil, `C:\Users\ada\AppData\Local\comfygate`, `D:\Bilder\comfygate`, ""},
		{"windows on a share", "windows", func() (string, error) { return `\\srv\pics`, nil }, []string{`LOCALAPPDATA=\\srv\state\`}, nil, `\\srv\state\comfygate`, `\\srv\pics\comfygate`, ""},
		{"windows without known folder", "windows", noKnown, []string{`USERPROFILE=C:\Users\ada`, `LOCALAPPDATA=C:\L`}, nil, `C:\L\comfygate`, `C:\Users\ada\Pictures\comfygate`, ""},
		{"http saves nothing", "linux", noKnown, []string{"HOME=/home/ada", "COMFYGATE_SERVER__TRANSPORT=http"}, nil, "/home/ada/.local/state/comfygate", "", ""},
		{"http, folder given", "linux", noKnown, []string{"HOME=/home/ada", "COMFYGATE_SERVER__TRANSPORT=http", "COMFYGATE_OUTPUT__DIR=/srv/p"}, nil, "/home/ada/.local/state/comfygate", "/srv/p", ""},
		{"off", "linux", noKnown, []string{"HOME=/home/ada", "COMFYGATE_OUTPUT__DIR=OFF"}, nil, "/home/ada/.local/state/comfygate", "", ""},
		{"home in a value", "linux", noKnown, []string{"HOME=/home/ada", "COMFYGATE_OUTPUT__DIR=~/p", "COMFYGATE_STORAGE__DIR=~"}, nil, "/home/ada", "/home/ada/p", ""},
		{"another's home", "linux", noKnown, []string{"HOME=/home/ada", "COMFYGATE_OUTPUT__DIR=~bob/p"}, nil, "/home/ada/.local/state/comfygate", "~bob/p", ""},
		{"windows names have no case", "windows", noKnown, []string{`LOCALAPPDATA=C:\L`, `USERPROFILE=C:\U`, `Comfygate_Output__Dir=~\p`}, nil, `C:\L\comfygate`, `C:\U\p`, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			read := func(path string) ([]byte, error) {
				if text, ok := tc.disk[path]; ok {
					return []byte(text), nil
				}
				return nil, fs.ErrNotExist
			}
			c, warnings, err := load(host{os: tc.os, pictures: tc.known}, tc.env, read, nil)
			if tc.fault != "" {
				if err == nil || !strings.Contains(err.Error(), tc.fault) {
					t.Errorf("error is %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if c.Storage.Dir != tc.state || c.Output.Dir != tc.picture {
				t.Errorf("state %q, want %q; pictures %q, want %q", c.Storage.Dir, tc.state, c.Output.Dir, tc.picture)
			}
			if off := tc.name == "no home, folder given"; off != (len(warnings) == 1) {
				t.Errorf("warnings: %q", warnings)
			}
		})
	}
}

func TestDistance(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"PROT", "PORT", 1}, {"kitten", "sitting", 3}, {"ab", "ba", 1}, {"HTTP_PORT", "HTTP__PORT", 1}} {
		if got := distance(tc.a, tc.b); got != tc.want {
			t.Errorf("%s, %s: %d, want %d", tc.a, tc.b, got, tc.want)
		}
	}
}
