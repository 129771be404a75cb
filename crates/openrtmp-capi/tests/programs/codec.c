/* Decoder configurations taken apart and put together, and units in both forms. The
   configurations are one that x264 made, as in tests/golden/codec, and one by hand. */
#include <openrtmp.h>

#include <stdio.h>
#include <stdlib.h>

#define CHECK(condition)                                                              \
    do {                                                                              \
        if (!(condition)) {                                                           \
            fprintf(stderr, "%s:%d: %s (%s)\n", __FILE__, __LINE__, #condition,       \
                    openrtmp_last_error_message());                                   \
            exit(1);                                                                  \
        }                                                                             \
    } while (0)
#define OK(call) CHECK((call) == OPENRTMP_OK)

/* High, 1920 x 1080, 30000/1001. */
static const uint8_t avc[] = {
    0x01, 0x64, 0x00, 0x28, 0xFF, 0xE1, 0x00, 0x19, 0x67, 0x64, 0x00, 0x28, 0xAC, 0xD9, 0x40,
    0x78, 0x02, 0x27, 0xE5, 0xC0, 0x44, 0x00, 0x00, 0x0F, 0xA4, 0x00, 0x03, 0xA9, 0x80, 0x3C,
    0x60, 0xC6, 0x58, 0x01, 0x00, 0x06, 0x68, 0xEB, 0xE3, 0xCB, 0x22, 0xC0, 0xFD, 0xF8, 0xF8,
    0x00};
/* AAC LC, 44,100 Hz, 2 channels (ISO/IEC 14496-3, 1.6.2.1). */
static const uint8_t aac[] = {0x12, 0x10};

static int same(const uint8_t *one, size_t length, const uint8_t *other, size_t other_length) {
    return length == other_length && memcmp(one, other, length) == 0;
}

static void configurations(void) {
    openrtmp_media_format format = OPENRTMP_MEDIA_FORMAT_INIT;
    uint8_t sets[128], made[128];
    char name[32];
    size_t sequences = 0, pictures = 0, length = 0;

    OK(openrtmp_decoder_config_format(OPENRTMP_MEDIA_VIDEO, OPENRTMP_FOURCC_AVC, avc, sizeof avc,
                                      &format));
    CHECK(format.width == 1920 && format.height == 1080 && format.length_size == 4);
    CHECK(format.frame_rate > 29.96 && format.frame_rate < 29.98);
    CHECK(format.sample_rate == 0 && format.channels == 0);
    OK(openrtmp_decoder_config_codec_string(OPENRTMP_MEDIA_VIDEO, OPENRTMP_FOURCC_AVC, avc,
                                            sizeof avc, name, sizeof name, &length));
    CHECK(strcmp(name, "avc1.640028") == 0 && length == 11);

    /* The sets are those of the record, each behind a start code. */
    OK(openrtmp_decoder_config_part(OPENRTMP_MEDIA_VIDEO, OPENRTMP_FOURCC_AVC, avc, sizeof avc, 0,
                                    sets, sizeof sets, &sequences));
    CHECK(sequences == 4 + 0x19 && memcmp(sets, "\0\0\0\1", 4) == 0);
    CHECK(memcmp(sets + 4, avc + 8, 0x19) == 0);
    OK(openrtmp_decoder_config_part(OPENRTMP_MEDIA_VIDEO, OPENRTMP_FOURCC_AVC, avc, sizeof avc, 1,
                                    sets + sequences, sizeof sets - sequences, &pictures));
    CHECK(pictures == 4 + 6);
    CHECK(openrtmp_decoder_config_part(OPENRTMP_MEDIA_VIDEO, OPENRTMP_FOURCC_AVC, avc, sizeof avc,
                                       2, sets, 0, NULL) == OPENRTMP_ERROR_NOT_FOUND);
    OK(openrtmp_decoder_config_of_sets(OPENRTMP_FOURCC_AVC, sets, sequences + pictures, made,
                                       sizeof made, &length));
    CHECK(same(made, length, avc, sizeof avc));
    /* Without pictures' sets it is none. */
    CHECK(openrtmp_decoder_config_of_sets(OPENRTMP_FOURCC_AVC, sets, sequences, made, sizeof made,
                                          &length) == OPENRTMP_ERROR_INVALID_ARGUMENT);

    OK(openrtmp_decoder_config_format(OPENRTMP_MEDIA_AUDIO, OPENRTMP_FOURCC_AAC, aac, sizeof aac,
                                      &format));
    CHECK(format.sample_rate == 44100 && format.channels == 2);
    CHECK(format.width == 0 && format.length_size == 0);
    OK(openrtmp_decoder_config_part(OPENRTMP_MEDIA_AUDIO, OPENRTMP_FOURCC_AAC, aac, sizeof aac, 0,
                                    made, sizeof made, &length));
    CHECK(same(made, length, aac, sizeof aac));

    CHECK(openrtmp_decoder_config_format(OPENRTMP_MEDIA_DATA, 0, avc, sizeof avc, &format) ==
          OPENRTMP_ERROR_INVALID_ARGUMENT);
    CHECK(openrtmp_decoder_config_format(OPENRTMP_MEDIA_VIDEO, OPENRTMP_FOURCC_AVC, avc, 5,
                                         &format) == OPENRTMP_ERROR_INVALID_ARGUMENT);
    format.struct_size = 4;
    CHECK(openrtmp_decoder_config_format(OPENRTMP_MEDIA_VIDEO, OPENRTMP_FOURCC_AVC, avc,
                                         sizeof avc, &format) == OPENRTMP_ERROR_STRUCT_SIZE);
}

static void units(void) {
    static const uint8_t frame[] = {0, 0, 0, 2, 9, 0x10, 0, 0, 0, 3, 0x65, 1, 2};
    static const uint8_t stream[] = {0, 0, 0, 1, 9, 0x10, 0, 0, 0, 1, 0x65, 1, 2};
    static const uint8_t shorter[] = {0, 0, 1, 9, 0x10, 0, 0, 1, 0x65, 1, 2};
    static const uint8_t two[] = {0, 2, 9, 0x10, 0, 3, 0x65, 1, 2};
    uint8_t made[sizeof frame];
    size_t length = 0;

    /* The length first, as for text; then into just as many bytes. */
    OK(openrtmp_annex_b_of_frame(frame, sizeof frame, 4, NULL, 0, &length));
    CHECK(length == sizeof stream);
    memset(made, 7, sizeof made);
    length = 77;
    CHECK(openrtmp_annex_b_of_frame(frame, sizeof frame, 4, made, sizeof made - 1, &length) ==
          OPENRTMP_ERROR_BUFFER_TOO_SMALL);
    CHECK(length == sizeof stream && made[0] == 7);
    OK(openrtmp_annex_b_of_frame(frame, sizeof frame, 4, made, sizeof made, &length));
    CHECK(same(made, length, stream, sizeof stream));
    OK(openrtmp_annex_b_of_frame(two, sizeof two, 2, made, sizeof made, &length));
    CHECK(same(made, length, stream, sizeof stream));
    OK(openrtmp_annex_b_to_frame(stream, sizeof stream, made, sizeof made, &length));
    CHECK(same(made, length, frame, sizeof frame));
    OK(openrtmp_annex_b_to_frame(shorter, sizeof shorter, made, sizeof made, &length));
    CHECK(same(made, length, frame, sizeof frame));
    OK(openrtmp_annex_b_of_frame(NULL, 0, 4, NULL, 0, &length));
    CHECK(length == 0);

    CHECK(openrtmp_annex_b_of_frame(frame, sizeof frame - 1, 4, made, sizeof made, &length) ==
          OPENRTMP_ERROR_INVALID_ARGUMENT);
    CHECK(openrtmp_annex_b_of_frame(frame, sizeof frame, 5, made, sizeof made, &length) ==
          OPENRTMP_ERROR_INVALID_ARGUMENT);
    CHECK(openrtmp_annex_b_to_frame(frame, sizeof frame, made, sizeof made, &length) ==
          OPENRTMP_ERROR_INVALID_ARGUMENT);
    CHECK(openrtmp_annex_b_of_frame(NULL, 3, 4, made, sizeof made, &length) ==
          OPENRTMP_ERROR_INVALID_ARGUMENT);
}

int main(void) {
    configurations();
    units();
    puts("ok");
    return 0;
}
