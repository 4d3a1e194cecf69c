package attack_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/png"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func outputWires() map[string]wire {
	return map[string]wire{"T40": upstreamSays, "T42": polyglot, "T43": inlineBounds, "T44": sameTools}
}

var (
	jobID  = regexp.MustCompile(`(?:Job: |"job_id": ?")([a-z2-7]{26})`)
	callID = regexp.MustCompile(`call_id\\?":\\?"[a-z2-7]{26}`)
)

// state is where a job of the caller's stands.
func (c *caller) state(job string) string {
	c.t.Helper()
	m := regexp.MustCompile(`"state": ?"([a-z]+)"`).FindStringSubmatch(c.call("status", args{"job_id": job, "wait_seconds": 0}).text)
	if m == nil {
		return ""
	}
	return m[1]
}

func unbase64(t *testing.T, text string) []byte {
	t.Helper()
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// leaky is what a broken ComfyUI, or what stands before it, may say.
const leaky = `RuntimeError: no C:\\secret\\path\\model.ckpt, no /home/secret/path/vae.pt at http://10.9.8.7:8188/?token=abcCANARY ` +
	`Authorization: Bearer CANARY.abc \u001b[31mred\u001b[0m \u202eevil\u200b <script>alert(1)</script> Traceback (most recent call last):\n  File \"/home/secret/path/execution.py\", line 7`

// upstreamSays lets ComfyUI say what nobody should read, on one route after another.
func upstreamSays(t *testing.T, f *field) {
	s := f.evil
	f.once.Do(func() { evilAnswers(t, s) })
}

// evilAnswers is T40 and T41: the ComfyUI is theirs alone.
func evilAnswers(t *testing.T, s *site) {
	t.Helper()
	for _, route := range []string{"GET /object_info", "GET /models", "GET /system_stats", "POST /prompt", "GET /history", "GET /view"} {
		method, path, _ := strings.Cut(route, " ")
		for kind, body := range map[string]string{"application/json": `{"error":{"type":"x","message":"` + leaky + `","details":"` + leaky + `","extra_info":{}},"node_errors":{}}`, "text/html": leaky} {
			c := s.someone(t)
			s.comfy.instead(func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method != method || !strings.HasPrefix(strings.TrimPrefix(r.URL.Path, "/api"), path) {
					return false
				}
				w.Header().Set("Content-Type", kind)
				w.WriteHeader(http.StatusInternalServerError)
				_, _ = w.Write([]byte(body)) // comfygate may have gone
				return true
			})
			for tool, in := range map[string]args{"generate": {"prompt": "a cat", "width": 64, "height": 64, "steps": 1, "wait_seconds": 1}, "list_models": nil, "status": nil} {
				out := c.call(tool, in)
				for _, mark := range []string{"secret", "raceback", "CANARY", "10.9.8.7", "execution.py", "<script", "\x1b", "\u202e"} {
					if strings.Contains(string(out.body), mark) || strings.Contains(out.text, mark) {
						t.Errorf("%s, %s: %q crosses: %s", route, kind, mark, out.answer)
					}
				}
				if len(out.body) > 64<<10 && tool != "list_models" {
					t.Errorf("%s: %d bytes", route, len(out.body))
				}
			}
		}
	}
	s.comfy.instead(nil)
}

const whereabouts = "Taken at 52.5163 N 13.3777 E by the-canary"

// photo is a PNG with a text in it, and something behind its end.
func photo(t *testing.T, width, height int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewNRGBA(image.Rect(0, 0, width, height))); err != nil {
		t.Fatal(err)
	}
	const head = 8 + 25 // signature and IHDR
	return slices.Concat(b.Bytes()[:head], chunk("tEXt", []byte("Comment\x00"+whereabouts)), b.Bytes()[head:], []byte("PK\x03\x04 the-canary <script>alert(1)</script>"))
}

func chunk(kind string, data []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(data)))
	b = append(append(b, kind...), data...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[4:]))
}

func polyglot(t *testing.T, f *field) {
	c := f.main.someone(t)
	up := c.must("upload_image", args{"data": base64.StdEncoding.EncodeToString(photo(t, 64, 64))})
	larger := c.must("upscale", args{"image": up.links[0], "factor": 2})
	made := c.picture(canaryPrompt)
	for _, id := range []string{up.links[0], larger.links[0], made} {
		data := c.resource(id)
		if _, err := png.Decode(bytes.NewReader(data)); err != nil {
			t.Error(err)
		}
		if !bytes.HasSuffix(data, chunk("IEND", nil)) {
			t.Error("something stands behind a picture's end")
		}
		for _, mark := range []string{"the-canary", "52.5163", "tEXt", "PK\x03\x04", "CANARY", "class_type", "<script"} {
			if bytes.Contains(data, []byte(mark)) {
				t.Errorf("a picture holds %q", mark)
			}
		}
	}
}

func inlineBounds(t *testing.T, f *field) {
	c := f.main.someone(t)
	c.within = 2 * patience // the largest work of the suite
	side := times(1024, 256)
	out := c.must("generate", args{"prompt": "a cat", "family": "sd15", "width": side, "height": side, "steps": 1, "count": times(4, 2), "format": "png"})
	whole := c.call("get_image", args{"image": out.links[0], "format": "png"})
	for what, o := range map[string]outcome{"generate": out, "get_image": whole} {
		if len(o.body) > 1<<20 {
			t.Errorf("%s: %d bytes", what, len(o.body))
		}
		if o.ok() && len(o.links) == 0 && what == "generate" {
			t.Errorf("%s: no link to the whole picture", what)
		}
	}
}

// sameTools takes tools/list again and again; lastWires takes it once more at the end.
func sameTools(t *testing.T, f *field) {
	var first string
	for range 5 {
		c := f.main.someone(t)
		list := tools(t, c.ask("tools/list", "{}"))
		c.initialize()
		older := tools(t, c.post(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`))
		if first == "" {
			first = list
		}
		if list != first || older != first {
			t.Fatalf("the list has changed: %d, %d and %d bytes", len(first), len(list), len(older))
		}
		c.session = ""
		c.call("list_models", nil)
	}
}

// tools is the list in an answer, as text.
func tools(t *testing.T, a answer) string {
	t.Helper()
	out := read(a)
	if len(out.messages) == 0 || out.messages[0].Result == nil || len(out.messages[0].Result.Tools) == 0 {
		t.Fatalf("no tools: %s", a)
	}
	var all []string
	for _, tool := range out.messages[0].Result.Tools {
		all = append(all, string(tool))
	}
	return strings.Join(all, "\n")
}
