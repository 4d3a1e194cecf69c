package workflow

import (
	"path"
	"slices"
	"strings"

	"github.com/comfygate/comfygate/comfy"
)

// A role is what an input is to the outside of a graph.
type role int

const (
	takesAnything role = iota
	takesOption
	takesPicture // or a video, a sound: a file of the server's input folder
	takesPrefix
	takesPath
	takesURL
)

// Names and words that tell an input's or a class's role.
//
//nolint:gochecknoglobals // immutable tables
var (
	hiddenInputs = []string{"prompt", "dynprompt", "extra_pnginfo", "unique_id", "auth_token_comfy_org", "api_key_comfy_org", "comfy_usage_source"}
	pathWords    = []string{"path", "paths", "file", "files", "filename", "filenames", "filepath", "filepaths", "folder", "folders", "directory", "directories", "dir", "dirs"}
	urlWords     = []string{"url", "urls", "uri", "uris", "http", "https", "webhook", "endpoint", "host", "hostname"}
	fetchWords   = []string{"url", "http", "https", "web", "webhook", "download", "downloader", "fetch", "request", "requests", "api", "upload", "send"}
	writeWords   = []string{"save", "saver", "export", "exporter", "write", "writer", "dump"}

	// pictureInputs are inputs that name a file of the input folder, whatever their class says of them.
	pictureInputs = map[Target]bool{
		{"LoadImage", "image"}: true, {"LoadImageMask", "image"}: true, {"LoadImageOutput", "image"}: true, {"Painter", "mask"}: true,
		{"LoadVideo", "file"}: true, {"LoadAudio", "audio"}: true, {"RecordAudio", "audio"}: true, {"WebcamCapture", "image"}: true,
		{"LoadLatent", "latent"}: true, {"Load3D", "model_file"}: true, {"Load3DAnimation", "model_file"}: true, {"Load3DAdvanced", "model_file"}: true,
	}

	// editorViews are inputs by which the editor shows what was made; no class reads them.
	editorViews = map[Target]bool{{"ImageCompare", "compare_view"}: true}

	// previews are the classes that show in the temp folder what others save, with the input of each that has it.
	previews = map[string]struct{ class, input, from string }{
		"SaveImage":         {"PreviewImage", "images", "images"},
		"SaveImageAdvanced": {"PreviewImage", "images", "images"},
		"SaveAudio":         {"PreviewAudio", "audio", "audio"},
		"SaveAudioMP3":      {"PreviewAudio", "audio", "audio"},
		"SaveAudioOpus":     {"PreviewAudio", "audio", "audio"},
		"SaveAudioAdvanced": {"PreviewAudio", "audio", "audio"},
	}

	// fileExtensions are those of files that a server may load or write.
	fileExtensions = []string{
		".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".exr", ".hdr", ".svg", ".mp4", ".webm", ".mov", ".mkv", ".avi", ".m4v",
		".wav", ".mp3", ".flac", ".ogg", ".opus", ".m4a", ".glb", ".gltf", ".obj", ".fbx", ".stl", ".ply", ".usdz", ".spz", ".latent",
		".json", ".yaml", ".yml", ".txt", ".csv", ".py", ".npy", ".npz", ".zip",
	}
)

// roleOf tells the role of an input of n, by what its class says of it, and by its name.
func (s *securer) roleOf(n comfy.Node, input string) role {
	in := declared(s.info, n, input)
	text := in == nil || strings.Contains(in.Type, "STRING") || in.Type == anyType
	switch {
	case pictureInputs[Target{n.ClassType, input}], in != nil && (in.Upload || in.Media):
		return takesPicture
	case input == "filename_prefix", input == "prefix" && hasWord(n.ClassType, writeWords...):
		return takesPrefix
	case text && hasWord(input, urlWords...):
		return takesURL
	case text && hasWord(input, pathWords...):
		return takesPath
	case in != nil && (in.Type == "COMBO" || in.Type == dynamicCombo):
		return takesOption
	}
	return takesAnything
}

// namesFile reports whether a text reads like the name of a file or a folder: with a folder, an extension of files, or the mark of a
// folder of the server's behind it.
func namesFile(text string) bool {
	low := strings.ToLower(strings.TrimSpace(text))
	return strings.ContainsAny(low, `/\`) || strings.Contains(low, "..") || strings.ContainsRune(low, 0) ||
		strings.Contains(low, "%2e") || strings.Contains(low, "%2f") || strings.Contains(low, "%5c") ||
		slices.ContainsFunc([]string{"[input]", "[output]", "[temp]"}, func(mark string) bool { return strings.HasSuffix(low, mark) }) ||
		weights(low) || slices.Contains(fileExtensions, path.Ext(low))
}

// maxValueDepth bounds how deep a value is looked into; what is deeper is taken to name a file.
const maxValueDepth = 16

// deepFile reports whether a value of no text input holds the name of a file.
func deepFile(v any, depth int) bool {
	return anyText(v, depth, namesFile)
}

// namesAddress reports whether a value holds an address.
func namesAddress(v any, depth int) bool {
	return anyText(v, depth, func(text string) bool { return strings.Contains(text, "://") || strings.HasPrefix(text, "//") })
}

func anyText(v any, depth int, is func(string) bool) bool {
	if depth > maxValueDepth {
		return true
	}
	switch v := v.(type) {
	case string:
		return is(v)
	case []any:
		return slices.ContainsFunc(v, func(item any) bool { return anyText(item, depth+1, is) })
	case map[string]any:
		for key, item := range v {
			if is(key) || anyText(item, depth+1, is) {
				return true
			}
		}
	}
	return false
}
